"""What KVM counts of a VM or a vCPU: its binary statistics (KVM API 4.133)."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple, Self

from pykvm._shim import lib
from pykvm.errors import PykvmError
from pykvm.kvm import ioctl

if TYPE_CHECKING:
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.kvm.vm import Vm

_HEADER = struct.Struct("=6I")
_DESCRIPTOR = struct.Struct("=IhHII")

TYPES = ("cumulative", "instant", "peak", "linear histogram", "logarithmic histogram")
UNITS = ("", "bytes", "seconds", "cycles", "boolean")
BASES = (10, 2)

LARGEST = 1 << 20
"""More bytes than any kernel's statistics have: what says otherwise is not read."""


class Statistic(NamedTuple):
    """One statistic.

    Attributes:
        name: as KVM calls it, e.g. "exits".
        kind: one of `TYPES`; "type N" for one that is not known.
        unit: one of `UNITS`; "unit N" for one that is not known.
        base, exponent: a value stands for `value * base ** exponent` units.
        bucket_size: of a linear histogram.
        values: one, or those of a histogram's buckets.
    """

    name: str
    kind: str
    unit: str
    base: int
    exponent: int
    bucket_size: int
    values: tuple[int, ...]

    @property
    def value(self) -> int:
        """The value of what is no histogram; 0 if there is none."""
        return self.values[0] if self.values else 0


class BinaryStats:
    """The statistics descriptor of a VM or a vCPU (KVM_CAP_BINARY_STATS_FD, KVM API 4.133).

    A context manager.  It may outlive what it belongs to.

    Args:
        of: what is counted.

    Attributes:
        fd: the descriptor; -1 once closed.

    Raises:
        KvmIoctlError: KVM_GET_STATS_FD failed: ENOTTY on hosts before Linux 5.14.
    """

    def __init__(self, of: Vm | Vcpu) -> None:
        self.fd = ioctl.call(of.fd, "KVM_GET_STATS_FD")

    @staticmethod
    def is_offered(vm: Vm) -> bool:
        """Whether the host has them."""
        return bool(vm.check(lib.KVM_CAP_BINARY_STATS_FD))

    def read(self) -> dict[str, Statistic]:
        """All statistics by name, as they are now.

        Raises:
            PykvmError: what the kernel gave is not laid out as the document says.
            OSError: the descriptor cannot be read.
        """
        size = os.fstat(self.fd).st_size or LARGEST
        return decode(os.pread(self.fd, min(size, LARGEST), 0))

    def close(self) -> None:
        """Close the descriptor.  Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def decode(data: bytes) -> dict[str, Statistic]:
    """The statistics in what was read from the start of a statistics descriptor.

    Args:
        data: header, descriptors and values, wherever the header says that they are.

    Raises:
        PykvmError: something lies outside of `data`.
    """
    try:
        _, name_size, count, _, descriptors, values = _HEADER.unpack_from(data)
        step = _DESCRIPTOR.size + name_size
        if descriptors + count * step > len(data):
            raise struct.error
        found = (_decode_one(data, descriptors + i * step, name_size, values) for i in range(count))
        return {statistic.name: statistic for statistic in found}
    except struct.error:
        raise PykvmError("KVM's statistics are not laid out as the KVM API says (4.133)") from None


def _decode_one(data: bytes, at: int, name_size: int, values: int) -> Statistic:
    flags, exponent, size, offset, bucket_size = _DESCRIPTOR.unpack_from(data, at)
    name = data[at + _DESCRIPTOR.size : at + _DESCRIPTOR.size + name_size].split(b"\0", 1)[0]
    base = flags >> 8 & 0xF
    return Statistic(
        name.decode("ascii", "backslashreplace"),
        _named(TYPES, flags & 0xF, "type"),
        _named(UNITS, flags >> 4 & 0xF, "unit"),
        BASES[base] if base < len(BASES) else base,
        exponent,
        bucket_size,
        struct.unpack_from(f"={size}Q", data, values + offset),
    )


def _named(names: tuple[str, ...], number: int, what: str) -> str:
    return names[number] if number < len(names) else f"{what} {number}"
