"""What a host tells of its virtualization without being asked through KVM: /proc, /sys, /dev."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

MODULES = ("kvm", "kvm_intel", "kvm_amd")
HARMLESS = ("", "Not affected")

TELLING_PROBES = ("x87", "sse")
"""Where these fail, it is no processor that runs the guest."""


class Processor(NamedTuple):
    """The first processor of /proc/cpuinfo.

    Attributes:
        model: its name.
        extension: "vmx" (Intel), "svm" (AMD), or None if it shows neither.
        hypervisor: whether it says that this host is a virtual machine itself.
    """

    model: str
    extension: str | None
    hypervisor: bool


class Module(NamedTuple):
    """A kernel module.

    Attributes:
        name: its name.
        loaded: whether the kernel has it, loaded or built in.
        parameters: those that can be read, as text.
    """

    name: str
    loaded: bool
    parameters: dict[str, str]


class Conditions(NamedTuple):
    """What decides how fast the host is, besides its processor; each is empty if it cannot be read.

    Attributes:
        microcode: its revision, as /proc/cpuinfo has it.
        mitigations: what the kernel does about vulnerabilities, by the name of each that the
            processor has; those that do not affect it are left out.
        governor: who chooses one processor's frequency.
        clocksource: what the kernel tells the time by.
        kvm_modules: the loaded modules that make up KVM.
    """

    microcode: str
    mitigations: dict[str, str]
    governor: str
    clocksource: str
    kvm_modules: tuple[str, ...]


class Node(NamedTuple):
    """A device node.

    Attributes:
        path: where it is.
        exists: whether there is anything.
        is_device: whether that is a character device.
        owner, group: who it belongs to, by name where there is one.
        mode: its permissions, as ls shows them; these three are empty if it does not exist.
        openable: whether this process may open it for reading and writing.
    """

    path: str
    exists: bool
    is_device: bool
    owner: str
    group: str
    mode: str
    openable: bool


class HostFacts(NamedTuple):
    """All of it.

    Attributes:
        kernel: its release.
        machine: who made it and what it is, as its firmware says; possibly empty.
        processor: the first one.
        modules: `MODULES`, loaded or not.
        node: /dev/kvm.
    """

    kernel: str
    machine: str
    processor: Processor
    modules: tuple[Module, ...]
    node: Node


def gather(root: str | Path = "/") -> HostFacts:
    """Look at the host.  What cannot be read is empty: nothing here fails.

    Args:
        root: what stands for "/": another tree, for tests.
    """
    top = Path(root)
    firmware = (_text(top / f"sys/class/dmi/id/{name}") for name in ("sys_vendor", "product_name"))
    return HostFacts(
        kernel=_text(top / "proc/sys/kernel/osrelease"),
        machine=" ".join(filter(None, firmware)),
        processor=_processor(_text(top / "proc/cpuinfo")),
        modules=tuple(_module(top / "sys/module", name) for name in MODULES),
        node=look_at_node(top / "dev/kvm"),
    )


def look_at_conditions(root: str | Path = "/", cpu: int = 0) -> Conditions:
    """What figures of this host depend on.  Nothing here fails.

    Args:
        root: as for `gather`.
        cpu: the processor that is measured on.
    """
    top = Path(root)
    devices = top / "sys/devices/system"
    found = {
        name: _text(devices / "cpu/vulnerabilities" / name)
        for name in _names(devices / "cpu/vulnerabilities")
    }
    modules = [name for name in _names(top / "sys/module") if name.split("_")[0] == "kvm"]
    return Conditions(
        microcode=_fields(_text(top / "proc/cpuinfo")).get("microcode", ""),
        mitigations={name: words for name, words in found.items() if words not in HARMLESS},
        governor=_text(devices / f"cpu/cpu{cpu}/cpufreq/scaling_governor"),
        clocksource=_text(devices / "clocksource/clocksource0/current_clocksource"),
        kvm_modules=tuple(modules),
    )


def kind_of_kvm(processor: Processor, failed: Collection[str]) -> str:
    """What kind of KVM a usable one is: "hardware", "nested" or "emulating".

    Args:
        processor: the host's.
        failed: the names of the probes that fail; what counts are `TELLING_PROBES`.
    """
    if set(TELLING_PROBES) <= set(failed) or processor.extension is None:
        return "emulating"
    return "nested" if processor.hypervisor else "hardware"


def look_at_node(path: str | Path) -> Node:
    """What is at `path`, and who may open it."""
    name = os.fspath(path)
    try:
        status = Path(path).stat()
    except OSError:
        return Node(name, False, False, "", "", "", False)
    return Node(
        path=name,
        exists=True,
        is_device=stat.S_ISCHR(status.st_mode),
        owner=_user_name(status.st_uid),
        group=_group_name(status.st_gid),
        mode=stat.filemode(status.st_mode),
        openable=os.access(name, os.R_OK | os.W_OK),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _fields(cpuinfo: str) -> dict[str, str]:
    """What /proc/cpuinfo says of its first processor."""
    fields: dict[str, str] = {}
    for line in cpuinfo.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields


def _processor(cpuinfo: str) -> Processor:
    fields = _fields(cpuinfo)
    flags = fields.get("flags", "").split()
    return Processor(
        model=fields.get("model name", ""),
        extension=next((flag for flag in ("vmx", "svm") if flag in flags), None),
        hypervisor="hypervisor" in flags,
    )


def _module(modules: Path, name: str) -> Module:
    folder = modules / name
    parameters = folder / "parameters"
    values = {file: _text(parameters / file) for file in _names(parameters)}
    return Module(
        name=name,
        loaded=name in _names(modules),
        parameters={parameter: value for parameter, value in values.items() if value},
    )


def _names(folder: Path) -> list[str]:
    """What is in a folder; nothing if it cannot be read."""
    try:
        return sorted(file.name for file in folder.iterdir())
    except OSError:
        return []


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
