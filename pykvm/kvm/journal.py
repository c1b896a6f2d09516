"""What was asked of the kernel: each ioctl with its descriptor, argument, result and duration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pykvm._shim import ffi
from pykvm.errors import KvmIoctlError
from pykvm.kvm import ioctl

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS_KEPT = 1 << 16
"""A guest that runs for long has its interrupt lines driven without end."""

_MAKERS = {"open": "system", "KVM_CREATE_VM": "VM", "KVM_CREATE_VCPU": "vCPU"}
"""What the descriptors are that a call returns."""


class Call(NamedTuple):
    """One system call.

    Attributes:
        name: the ioctl as the KVM API document spells it; or "open" or "mmap".
        kind: what was made of the descriptor since the journal began: "system", "VM" or "vCPU";
            "" for what is older, or none.
        fields: what stood in the argument afterwards, by the names of the struct's members; those
            of a member that is a struct itself as "cs.base"; arrays left out.  A plain number is
            "value".  open has "path", mmap "size".
        result: what it returned; -errno if it failed.
        start: when (CLOCK_MONOTONIC, ns).
        ns: how long it took, with its way from Python and back.
    """

    name: str
    kind: str
    fields: dict[str, int | str]
    result: int
    start: int
    ns: int


class Journal:
    """Notes calls from `with` on until the block is left; two at a time nest.

    It replaces the functions of `pykvm.kvm.ioctl` by others that note what they do, so a program
    without a journal pays nothing for it.  KVM_RUN in the C loop is not seen: the recorder sees it.

    Attributes:
        calls: the first 65536 calls.
        dropped: how many followed those.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.dropped = 0
        self._kinds: dict[int, str] = {}

    def __enter__(self) -> Self:
        self._replaced = ioctl.call, ioctl.open_device, ioctl.map_shared
        call, open_device, map_shared = self._replaced

        def noted_call(fd: int, name: str, argument: Any = 0) -> int:
            return self._note(
                name, fd, lambda: call(fd, name, argument), lambda: fields_of(argument)
            )

        def noted_open(path: str) -> int:
            return self._note("open", -1, lambda: open_device(path), lambda: {"path": path})

        def noted_map(fd: int, size: int) -> Any:
            mapped: list[Any] = []

            def do() -> int:
                mapped.append(map_shared(fd, size))
                return 0

            self._note("mmap", fd, do, lambda: {"size": size})
            return mapped[0]

        ioctl.call, ioctl.open_device, ioctl.map_shared = noted_call, noted_open, noted_map
        return self

    def __exit__(self, *_: object) -> None:
        ioctl.call, ioctl.open_device, ioctl.map_shared = self._replaced

    def _note(
        self, name: str, fd: int, do: Callable[[], int], fields: Callable[[], dict[str, int | str]]
    ) -> int:
        result = 0
        start = time.monotonic_ns()
        try:
            result = do()
        except KvmIoctlError as error:
            result = -error.errno
            raise
        except OSError as error:
            result = -(error.errno or 0)
            raise
        finally:
            ns = time.monotonic_ns() - start
            if name in _MAKERS and result >= 0:
                self._kinds[result] = _MAKERS[name]
            if len(self.calls) < CALLS_KEPT:
                kind = self._kinds.get(fd, "")
                self.calls.append(Call(name, kind, fields(), result, start, ns))
            else:
                self.dropped += 1
        return result


def fields_of(argument: Any) -> dict[str, int | str]:
    """The numbers in an ioctl's argument, by the names of the members (see `Call.fields`)."""
    if isinstance(argument, int):
        return {"value": argument} if argument else {}
    kind = ffi.typeof(argument)
    if kind.kind != "pointer" or argument == ffi.NULL:
        return {}
    if kind.item.kind == "primitive":
        return {"value": int(argument[0])}
    return dict(_members(argument[0], kind.item, "")) if kind.item.kind == "struct" else {}


def _members(value: Any, kind: Any, prefix: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for name, field in kind.fields:
        if field.type.kind == "primitive":
            found.append((prefix + name, int(getattr(value, name))))
        elif field.type.kind == "struct" and name:
            found += _members(getattr(value, name), field.type, f"{prefix}{name}.")
    return found
