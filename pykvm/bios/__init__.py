"""A small PC BIOS whose services are Python: for boot sectors, and whatever they load."""

from __future__ import annotations

from pykvm.bios.bios import Bios
from pykvm.bios.frame import Frame, difference
from pykvm.bios.image import Disk, Drive, assign_drives
from pykvm.bios.registers import Registers, SegmentValue
from pykvm.bios.trap import TrapPorts

__all__ = [
    "Bios",
    "Disk",
    "Drive",
    "Frame",
    "Registers",
    "SegmentValue",
    "TrapPorts",
    "assign_drives",
    "difference",
]
