"""What is registered with a VM for a while: made by a constructor, undone by close."""

from __future__ import annotations

from typing import Any, TypeVar

from pykvm.kvm import ioctl
from pykvm.kvm.vm import Vm

R = TypeVar("R", bound="Registration")


class Registration:
    """The base of `IrqFd`, `IoEventFd` and `CoalescedZone`: a context manager.

    Attributes:
        vm: what it is registered with.
    """

    def __init__(self, vm: Vm, name: str, struct: Any) -> None:
        self.vm = vm
        self._open = True
        ioctl.call(vm.fd, name, struct)

    def __enter__(self: R) -> R:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Undo the registration, unless the VM is closed, which undid it.  Idempotent."""
        if self._open:
            self._open = False
            if self.vm.fd >= 0:
                self._undo()

    def _undo(self) -> None:
        raise NotImplementedError
