"""What an exit was, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.kvm.decode import exit_name
from pykvm.kvm.recorder import HANDLERS, INTR

if TYPE_CHECKING:
    from pykvm.bus import Bus
    from pykvm.trace.event import Occurrence, Place
    from pykvm.trace.form import Devices

_READ = {lib.KVM_EXIT_IO: "in", lib.KVM_EXIT_MMIO: "read", lib.KVM_EXIT_X86_RDMSR: "rdmsr"}
_WRITTEN = {lib.KVM_EXIT_IO: "out", lib.KVM_EXIT_MMIO: "write", lib.KVM_EXIT_X86_WRMSR: "wrmsr"}
_VALUE_NAMES = {
    "FAIL_ENTRY": "hardware reason",
    "UNKNOWN": "hardware reason",
    "HYPERCALL": "number",
    "INTERNAL_ERROR": "suberror",
    "IOAPIC_EOI": "vector",
    "SYSTEM_EVENT": "type",
}


def device_finder(ports: Bus, mmio: Bus) -> Devices:
    """Tells which device an access is for, by what is attached to two buses."""

    def find(record: Occurrence) -> str | None:
        if record.reason not in (lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO):
            return None
        bus = ports if record.reason == lib.KVM_EXIT_IO else mmio
        owner = bus.find(record.address)
        return None if owner is None else owner.name

    return find


def handler(record: Occurrence) -> str:
    """Who answered: "Python", or "C" and how."""
    if not record.handled:
        return "Python"
    return f"C {HANDLERS[record.handled]}" if record.handled < len(HANDLERS) else "C"


def target(record: Occurrence) -> str:
    """What was accessed, without the value: "out 0x3f8", "read 0xa0004"; else the exit's name."""
    verbs = _WRITTEN if record.is_write else _READ
    verb = verbs.get(record.reason)
    return exit_name(record.reason) if verb is None else f"{verb} {record.address:#x}"


def access(record: Occurrence) -> str:
    """What was accessed, and what was read or written: "out 0x3f8 = 0x48 'H'"."""
    if record.reason in _READ or record.reason in _WRITTEN:
        text = f"{target(record)} = {record.value:#0{2 + 2 * record.size}x}"
        text += character(record)
        return text if record.count <= 1 else f"{text} x {record.count}"
    name = exit_name(record.reason)
    if name in _VALUE_NAMES:
        return f"{_VALUE_NAMES[name]} {record.value}"
    if name == "MEMORY_FAULT":
        return f"at {record.address:#x}, {record.value} bytes"
    if record.reason == INTR:
        return "tick or signal"
    return ""


def character(record: Occurrence) -> str:
    """What may be meant by a byte that was written: " 'H'"; empty for what is none, or no text."""
    is_text = record.is_write and record.size == 1 and 0x20 <= record.value < 0x7F
    return f" '{record.value:c}'" if is_text else ""


def location(place: Place | None) -> str:
    """Where the instruction is: its address, and its name if it has one."""
    if place is None:
        return ""
    address = f"{place.instruction.address:08x}"
    return address if place.symbol is None else f"{address} <{place.symbol}>"


def registers(changes: dict[str, int], width: int) -> str:
    """Registers with their new values, by their names in code of `width` bits."""
    return " ".join(f"{_register(name, width)}={value:x}" for name, value in changes.items())


def _register(name: str, width: int) -> str:
    return name if width == 64 or not name.startswith("r") else f"e{name[1:]}"
