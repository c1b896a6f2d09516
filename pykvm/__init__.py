"""pykvm: a mini-hypervisor.  Python drives /dev/kvm; a small C loop runs the guest.

`Machine` is a small PC; `pykvm.kvm` is the KVM API one to one, usable alone.
"""

from __future__ import annotations

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.bus import Device
    from pykvm.cpu.stop import Stop, StopReason
    from pykvm.errors import GuestCrash, PykvmError
    from pykvm.irq import IrqLine
    from pykvm.machine import Machine
    from pykvm.pool import MachinePool
    from pykvm.x86 import Mode

__all__ = [
    "Device",
    "GuestCrash",
    "IrqLine",
    "Machine",
    "MachinePool",
    "Mode",
    "PykvmError",
    "Stop",
    "StopReason",
]

_HOMES = {
    "Device": "pykvm.bus",
    "GuestCrash": "pykvm.errors",
    "IrqLine": "pykvm.irq",
    "Machine": "pykvm.machine",
    "MachinePool": "pykvm.pool",
    "Mode": "pykvm.x86",
    "PykvmError": "pykvm.errors",
    "Stop": "pykvm.cpu.stop",
    "StopReason": "pykvm.cpu.stop",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: the command must start quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
