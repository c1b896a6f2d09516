"""Every error that pykvm raises on purpose.

Each message is one line that says what was wrong, with what, and what to do about it: the
command prints it as it is.  Callers catch `PykvmError` for all of them, or the class they can act
on.
"""

from __future__ import annotations

import os

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot


class PykvmError(Exception):
    """The root of pykvm's own exceptions."""


class KvmUnavailable(PykvmError):
    """/dev/kvm cannot be used; the message says which of its preconditions fails.

    Attributes:
        cause: "missing", "permission", "module", "version" or "other", for programs.
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class EmulatorUnavailable(PykvmError):
    """The emulator cannot be used: it is not installed, or not as it is expected to be."""


class KvmIoctlError(PykvmError):
    """An ioctl of the KVM API failed.

    Attributes:
        ioctl: its name in the KVM API document, e.g. "KVM_CREATE_VM".
        errno: the error number, e.g. `errno.EINVAL`.
    """

    def __init__(self, ioctl: str, errno: int, detail: str = "") -> None:
        about = f" ({detail})" if detail else ""
        super().__init__(f"{ioctl} failed: {os.strerror(errno)}{about}")
        self.ioctl = ioctl
        self.errno = errno


class CapabilityMissing(PykvmError):
    """The host's KVM lacks what a call needs.

    Attributes:
        capability: its name in the KVM API document, e.g. "KVM_CAP_SPLIT_IRQCHIP".
    """

    def __init__(self, capability: str) -> None:
        super().__init__(f"this host's KVM does not offer {capability} (see `pykvm doctor`)")
        self.capability = capability


class CpuModelError(PykvmError):
    """A processor that cannot be had: an unknown feature, or one that the host does not offer."""


class MachineError(PykvmError, ValueError):
    """A combination of parts that no machine can have."""


class ImageError(PykvmError):
    """A guest image cannot be booted: unreadable, malformed, or too large for its machine."""


class DiskError(PykvmError):
    """A disk image that cannot be used: unreadable, empty, not a file, or one too many."""


class GuestMemoryError(PykvmError):
    """A guest memory size or layout that cannot be had, or an address outside guest RAM."""


class BusError(PykvmError):
    """An attachment that overlaps another one, or does not fit its bus."""


class FwCfgError(PykvmError):
    """A fw_cfg item or file that cannot be: its key, its name or its size."""


class SymbolError(PykvmError):
    """A guest's names cannot be had: its file has none, or what reads them is not installed."""


class CoreError(PykvmError):
    """A core file cannot be written: no directory, no permission, a full disk."""


class LabError(PykvmError):
    """A lab of the course that cannot be started, found or checked: no such lab, no assembler."""


class BenchError(PykvmError):
    """A benchmark that cannot be run as asked, or a result that cannot be read."""


class UnclaimedAccess(PykvmError):
    """A guest access that no device claims, on a machine that was asked to be strict."""


class SinkError(PykvmError):
    """The host's side of a device failed: a full disk, a closed pipe."""


class ReaderGoneError(SinkError):
    """What is written goes through a pipe or a socket that nobody reads any more."""


class DebugError(PykvmError):
    """What a debugger was asked and cannot do: a point without a debug register to hold it, ..."""


class TranslationError(DebugError):
    """A linear address that page tables do not lead to RAM; the message says at which level."""


class GuestCrash(PykvmError):
    """The guest went where no processor can go on: triple fault, emulation failure, ...

    Attributes:
        cause: one sentence: what happened.
        exit: the exit that ended the run (a member of `pykvm.kvm.exits`).
        cpu: the registers, mode and code bytes at that moment; None if they could not be read.
        processor: the number of the one that crashed; None where there is only one.
    """

    def __init__(
        self, cause: str, exit: object, cpu: CpuSnapshot | None, processor: int | None = None
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.exit = exit
        self.cpu = cpu
        self.processor = processor
