"""The devices of a PC that guests talk to, each a `pykvm.bus.Device` in a file of its own."""

from __future__ import annotations

from pykvm.devices.a20 import A20Gate
from pykvm.devices.acpi_pm import AcpiPm
from pykvm.devices.byte_overlay import ByteOverlay
from pykvm.devices.cmos import Cmos
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
