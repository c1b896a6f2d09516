"""The devices of a PC that guests talk to, each a `pykvm.bus.Device` in a file of its own.

Names are imported at their first use: a machine need not have all of them.
"""

from __future__ import annotations

from importlib import import_module

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.devices.a20 import A20Gate
    from pykvm.devices.acpi_pm import AcpiPm
    from pykvm.devices.byte_overlay import ByteOverlay
    from pykvm.devices.cmos import Cmos
    from pykvm.devices.crtc import Crtc
    from pykvm.devices.debug_exit import DebugExit, exit_status
    from pykvm.devices.debugcon import Debugcon
    from pykvm.devices.fw_cfg import FwCfg
    from pykvm.devices.i8042 import I8042
    from pykvm.devices.ioapic import IoApic
    from pykvm.devices.pci_config import PciConfig
    from pykvm.devices.port92 import Port92
    from pykvm.devices.post import Post
    from pykvm.devices.ps2_keyboard import Ps2Keyboard
    from pykvm.devices.reset_control import ResetControl
    from pykvm.devices.sinks import BufferSink, FdSink, NullSink, Sink, TeeSink
    from pykvm.devices.speaker import Speaker
    from pykvm.devices.uart16550 import Uart16550

__all__ = [
    "I8042",
    "A20Gate",
    "AcpiPm",
    "BufferSink",
    "ByteOverlay",
    "Cmos",
    "Crtc",
    "DebugExit",
    "Debugcon",
    "FdSink",
    "FwCfg",
    "IoApic",
    "NullSink",
    "PciConfig",
    "Port92",
    "Post",
    "Ps2Keyboard",
    "ResetControl",
    "Sink",
    "Speaker",
    "TeeSink",
    "Uart16550",
    "exit_status",
]

_HOMES = {
    "A20Gate": "a20",
    "AcpiPm": "acpi_pm",
    "ByteOverlay": "byte_overlay",
    "Cmos": "cmos",
    "Crtc": "crtc",
    "DebugExit": "debug_exit",
    "exit_status": "debug_exit",
    "Debugcon": "debugcon",
    "FwCfg": "fw_cfg",
    "I8042": "i8042",
    "IoApic": "ioapic",
    "PciConfig": "pci_config",
    "Port92": "port92",
    "Post": "post",
    "Ps2Keyboard": "ps2_keyboard",
    "ResetControl": "reset_control",
    "BufferSink": "sinks",
    "FdSink": "sinks",
    "NullSink": "sinks",
    "Sink": "sinks",
    "TeeSink": "sinks",
    "Speaker": "speaker",
    "Uart16550": "uart16550",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"pykvm.devices.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
