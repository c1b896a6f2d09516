"""Why /dev/kvm cannot be had, and what to type: one line for each way it fails."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pykvm.errors import KvmUnavailable


def explain(
    error: OSError, path: str, *, cpuinfo: str = "/proc/cpuinfo", modules: str = "/sys/module"
) -> KvmUnavailable:
    """The exception to raise for an `open(path)` that failed.

    Args:
        error: how it failed.
        path: the device node.
        cpuinfo, modules: where the host tells of its processor and its kernel modules.
    """
    if error.errno == errno.ENOENT:
        return _missing(path, _host_module(cpuinfo), modules)
    if error.errno in (errno.EACCES, errno.EPERM):
        return KvmUnavailable("permission", _forbidden(path))
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return _no_driver(path, _host_module(cpuinfo))
    if error.errno == errno.EBUSY:
        return busy(path)
    return KvmUnavailable("other", f"cannot open {path}: {os.strerror(error.errno or 0)}")


def busy(path: str) -> KvmUnavailable:
    """For EBUSY, of the node or of the first VM."""
    return KvmUnavailable(
        "other",
        f"{path} is busy: another hypervisor holds the processor's virtualization; "
        "stop it (VirtualBox: close its machines, then `sudo modprobe -r vboxdrv`)",
    )


def _host_module(cpuinfo: str) -> str | None:
    """The module for this host's processor, "kvm_intel" or "kvm_amd"; None without VMX or SVM."""
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("flags"):
            flags = line.partition(":")[2].split()
            if "vmx" in flags:
                return "kvm_intel"
            return "kvm_amd" if "svm" in flags else None
    return None


def _missing(path: str, module: str | None, modules: str) -> KvmUnavailable:
    if module is not None and Path(modules, module).exists():
        return KvmUnavailable(
            "missing",
            f"{path} is missing though {module} is loaded: in a container, start it with "
            f"`--device {path}`; elsewhere type `sudo mknod {path} c 10 232`",
        )
    if module is not None:
        return KvmUnavailable(
            "module", f"{path} is missing: the {module} module is not loaded; {_modprobe(module)}"
        )
    return KvmUnavailable(
        "missing",
        f"{path} is missing and the processor shows neither vmx nor svm: enable virtualization "
        "in the firmware, or in a virtual machine its nested virtualization",
    )


def _no_driver(path: str, module: str | None) -> KvmUnavailable:
    name = module or "kvm_intel or kvm_amd"
    advice = _modprobe(module) if module else "and the processor shows neither vmx nor svm"
    return KvmUnavailable("module", f"no driver behind {path}: {name} is not loaded; {advice}")


def _modprobe(module: str) -> str:
    return f"type `sudo modprobe {module}`"


def _forbidden(path: str) -> str:
    user = f"user {os.environ.get('USER') or os.geteuid()} may not open {path}"
    try:
        status = Path(path).stat()
    except OSError:
        return f"{user}: a folder on the way to it is closed"
    group = _group_name(status.st_gid)
    if stat.S_IMODE(status.st_mode) & 0o060 != 0o060:
        return (
            f"{user}: its group {group} has no access either; "
            f"type `sudo chgrp kvm {path} && sudo chmod 660 {path}`"
        )
    if status.st_gid in os.getgroups():
        return f"{user} though in its group {group}: a security policy or container forbids it"
    return (
        f"{user}: it belongs to group {group}; "
        f"type `sudo usermod -aG {group} $USER`, then log in again"
    )


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
