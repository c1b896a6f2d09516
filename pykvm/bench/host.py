"""The facts of a host without which its figures mean nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

HALT_POLL = "/sys/module/kvm/parameters/halt_poll_ns"
GOVERNOR = "/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"


def describe(cpu: int) -> dict[str, Any]:
    """What is to be said of this host.

    Args:
        cpu: the processor that is measured on.
    """
    return {
        "processor": _model(),
        "processors": os.cpu_count() or 1,
        "cpu": cpu,
        "governor": _line(GOVERNOR.format(cpu)),
        "kernel": platform.release(),
        "halt_poll_ns": _line(HALT_POLL),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def _model() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    names = [
        line.partition(":")[2].strip()
        for line in facts.splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else "unknown"


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return "unknown"
