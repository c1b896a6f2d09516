"""The facts of a host without which its figures mean nothing."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pykvm.hostfacts import TELLING_PROBES, gather, kind_of_kvm, look_at_conditions

if TYPE_CHECKING:
    from pykvm.kvm.system import System

UNKNOWN = "unknown"

COMPILERS = re.compile(
    rb"GCC: \((?P<who>[^\0]*)\) (?P<gcc>[0-9.]+)|clang version (?P<clang>[0-9.]+)"
)
"""What the two leave in an object's .comment section."""


def describe(cpu: int | None, system: System) -> dict[str, Any]:
    """What is to be said of this host.

    Args:
        cpu: the processor that is measured on; None if it is not one alone.
        system: whose KVM it is.
    """
    from pykvm import _shim

    facts = gather()
    conditions = look_at_conditions(cpu=cpu or 0)
    kvm = next((module for module in facts.modules if module.name == "kvm"), None)
    return {
        "processor": facts.processor.model or UNKNOWN,
        "processors": os.cpu_count() or 1,
        "cpu": cpu,
        "machine": facts.machine or UNKNOWN,
        "microcode": conditions.microcode or UNKNOWN,
        "governor": conditions.governor or UNKNOWN,
        "kernel": facts.kernel or UNKNOWN,
        "kvm": _kvm(system),
        "kvm_modules": list(conditions.kvm_modules),
        "halt_poll_ns": (kvm.parameters.get("halt_poll_ns", "") if kvm else "") or UNKNOWN,
        "mitigations": conditions.mitigations,
        "clocksource": conditions.clocksource or UNKNOWN,
        "pykvm": _version(),
        "python": platform.python_version(),
        "compiler": compiler(Path(str(_shim.__file__))),
        "load": round(os.getloadavg()[0], 2),
    }


def _kvm(system: System) -> str:
    """Whether it is hardware, nested or emulating, as `pykvm doctor` judges it."""
    from pykvm.kvm import probes

    failed = [name for name in TELLING_PROBES if not probes.result(system, name).ok]
    return kind_of_kvm(gather().processor, failed)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pykvm-vmm")
    except PackageNotFoundError:
        return UNKNOWN


def compiler(extension: Path) -> str:
    """What compiled an extension, by what it left there; "unknown" if it is not told.

    Args:
        extension: the shared object.
    """
    try:
        found = COMPILERS.search(extension.read_bytes())
    except OSError:
        return UNKNOWN
    if not found:
        return UNKNOWN
    parts = {
        name: (value or b"").decode("ascii", "replace") for name, value in found.groupdict().items()
    }
    return f"gcc {parts['gcc']} ({parts['who']})" if parts["gcc"] else f"clang {parts['clang']}"
