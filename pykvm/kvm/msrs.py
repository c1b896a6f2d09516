"""Model-specific registers, read and written in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from errno import EINVAL
from typing import Any

from pykvm._shim import ffi
from pykvm.errors import KvmIoctlError
from pykvm.kvm import ioctl


class MsrError(KvmIoctlError):
    """KVM refused one register of a batch; those before it were read or written.

    Attributes:
        index: the register's number.
    """

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name, EINVAL, f"MSR {index:#x}")
        self.index = index


def get_msrs(fd: int, indices: Iterable[int]) -> dict[int, int]:
    """See `Vcpu.get_msrs`."""
    wanted = list(indices)
    msrs = _batch(wanted)
    _do(fd, "KVM_GET_MSRS", msrs, wanted)
    return {entry.index: entry.data for entry in msrs.entries[0 : len(wanted)]}


def set_msrs(fd: int, values: Mapping[int, int]) -> None:
    """See `Vcpu.set_msrs`."""
    wanted = list(values)
    msrs = _batch(wanted)
    for i, value in enumerate(values.values()):
        msrs.entries[i].data = value
    _do(fd, "KVM_SET_MSRS", msrs, wanted)


def _batch(indices: list[int]) -> Any:
    msrs = ffi.new("struct kvm_msrs *", {"nmsrs": len(indices), "entries": len(indices)})
    for i, index in enumerate(indices):
        msrs.entries[i].index = index
    return msrs


def _do(fd: int, name: str, msrs: Any, indices: list[int]) -> None:
    done = ioctl.call(fd, name, msrs)
    if done < len(indices):
        raise MsrError(name, indices[done])
