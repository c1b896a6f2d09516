"""Lab 0: is there a hypervisor in this machine, and may you use it?

Write the functions and fill in WHERE.  `python host.py` shows what they say of this machine.
"""

import fcntl
import os
import stat
from pathlib import Path

KVM_GET_API_VERSION = 0xAE00  # the ioctl's number, _IO(KVMIO, 0x00) of <linux/kvm.h>

WHERE = {  # who does it: "guest", "kernel" or "user"?  Section 1
    "adds two registers": "",
    "stores to a page of RAM that the guest has used before": "",
    "walks the guest's page tables": "",
    "answers CPUID": "",
    "makes a page of RAM that the guest touches for the first time": "",
    "ticks the timer of the in-kernel PIT": "",
    "answers OUT to a serial port that a program plays": "",
    "writes what the guest prints to the terminal": "",
}


def extension(cpuinfo: str) -> str | None:
    """The virtualization extension that /proc/cpuinfo shows: "vmx", "svm" or None.  Section 2."""
    raise NotImplementedError


def loaded_modules(root: str) -> set[str]:
    """Which of kvm, kvm_intel and kvm_amd the kernel has, by `root`/sys/module.  Section 3."""
    raise NotImplementedError


def may_open(mode: int, owner: int, group: int, uid: int, groups: set[int]) -> bool:
    """Whether `uid`, who is in `groups`, may open a file for reading and writing.  Section 4.

    The file has the permission bits `mode`, and belongs to `owner` and `group`.
    """
    raise NotImplementedError


def api_version(path: str) -> int | None:
    """What KVM_GET_API_VERSION says on `path`; None if that cannot be asked.  Section 5."""
    raise NotImplementedError


def diagnose(root: str, uid: int, groups: set[int]) -> str:
    """What stands between `uid` and a guest.  Section 6.

    "ready", "no permission", "no device", "no module" or "no extension".
    """
    raise NotImplementedError


if __name__ == "__main__":
    print("extension:", extension(Path("/proc/cpuinfo").read_text()))
    print("modules:  ", loaded_modules("/"))
    print("version:  ", api_version("/dev/kvm"))
    print("diagnosis:", diagnose("/", os.geteuid(), {os.getegid(), *os.getgroups()}))
