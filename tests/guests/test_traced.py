"""Bundled guests are traced alike, whoever plays the machine: each access with its instruction.

KVM's exits are matched with instructions behind them, the emulator's are known; so this also holds
that the match is right.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pykvm.cpu.stop import StopReason
from pykvm.debug.symbols import read_symbols
from pykvm.devices.sinks import NullSink
from pykvm.layout import DEFAULT_RAM
from pykvm.machine import Machine
from pykvm.manifest import Guest, load_manifest
from pykvm.manifest import guests_folder as find_folder
from pykvm.trace.event import Event
from pykvm.trace.selection import Selection
from pykvm.trace.tracer import Tracer
from tests.support.bundled import load

PATIENCE = 120  # seconds: the emulator itself is emulated in make test-svm
FOLDER = find_folder()
assert FOLDER is not None
GUESTS = load_manifest(FOLDER)
NAMES = (
    *("hello", "boot_sector", "hello_protected", "hello_long", "hello_elf64", "real_to_long"),
    *("exit_status", "gdt_reload", "page_fault", "software_interrupt", "undefined_opcode"),
    *("serial_interrupts", "serial_loopback", "memory_walker", "mmio", "multiboot", "primes"),
)


class Lines:
    """A format that keeps what does not depend on who plays the machine."""

    def __init__(self) -> None:
        self.kept: list[tuple[object, ...]] = []

    def begin(self) -> str:
        return ""

    def events(self, events: Iterable[Event]) -> str:
        for record, _, place, _ in events:
            access = record.reason, record.address, record.value, record.size, record.is_write
            self.kept.append((*access, place and (place.instruction, place.symbol)))
        return ""

    def end(self) -> str:
        return ""


def lines_of(guest: Guest, accel: str) -> list[tuple[object, ...]]:
    lines = Lines()
    with Machine(guest.memory or DEFAULT_RAM, irqchip="user", accel=accel) as machine:
        load(machine, guest)
        symbols = read_symbols(guest.path)
        tracer = Tracer(machine, lines, NullSink(), selection=Selection(), symbols=symbols)
        assert machine.send(guest.input) == len(guest.input)
        stop = machine.run(timeout=PATIENCE)
        assert stop.reason is not StopReason.TIMEOUT
        tracer.finish()
    return lines.kept


@pytest.mark.parametrize(
    "guest",
    [
        pytest.param(GUESTS[name], id=name, marks=pytest.mark.needs(*GUESTS[name].needs))
        for name in NAMES
    ],
)
def test_both_accelerators_tell_the_same(guest: Guest) -> None:
    pytest.importorskip("unicorn", reason="unicorn, the emulator, is not installed")
    kvm = lines_of(guest, "kvm")
    assert kvm
    assert all(line[-1] for line in kvm), "an exit without its instruction"
    assert lines_of(guest, "emu") == kvm
