"""Lab 0, solved."""

import fcntl
import os
import stat
from pathlib import Path

KVM_GET_API_VERSION = 0xAE00

WHERE = {
    "adds two registers": "guest",
    "stores to a page of RAM that the guest has used before": "guest",
    "walks the guest's page tables": "guest",
    "answers CPUID": "kernel",
    "makes a page of RAM that the guest touches for the first time": "kernel",
    "ticks the timer of the in-kernel PIT": "kernel",
    "answers OUT to a serial port that a program plays": "user",
    "writes what the guest prints to the terminal": "user",
}


def extension(cpuinfo: str) -> str | None:
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            flags = value.split()
            return next((flag for flag in ("vmx", "svm") if flag in flags), None)
    return None


def loaded_modules(root: str) -> set[str]:
    folder = Path(root, "sys/module")
    return {name for name in ("kvm", "kvm_intel", "kvm_amd") if (folder / name).is_dir()}


def may_open(mode: int, owner: int, group: int, uid: int, groups: set[int]) -> bool:
    if uid == 0:
        return True
    shift = 6 if uid == owner else 3 if group in groups else 0
    return mode >> shift & 6 == 6


def api_version(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return fcntl.ioctl(fd, KVM_GET_API_VERSION, 0)
    except OSError:
        return None
    finally:
        os.close(fd)


def diagnose(root: str, uid: int, groups: set[int]) -> str:
    try:
        status = os.stat(Path(root, "dev/kvm"))
    except FileNotFoundError:
        if "kvm" in loaded_modules(root):
            return "no device"
        cpuinfo = Path(root, "proc/cpuinfo").read_text()
        return "no module" if extension(cpuinfo) else "no extension"
    if may_open(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, uid, groups):
        return "ready"
    return "no permission"
