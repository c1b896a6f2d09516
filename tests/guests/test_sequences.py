"""Every bundled guest asks the same of its devices, in the same order, whoever plays it.

The machines have the same devices, interrupt controllers included, and the sequences are compared
as they are: each access with its size and value, string instructions element by element, each read
of a loop that polls.  What differs of right is taken out for all guests alike:

- Stores and loads of 8 bytes: Unicorn makes two of 4, the lower half first, as a 32-bit bus
  does.  KVM's are cut in the same way.
- The time of day, of which the CMOS clock's registers tell: the clock starts when the machine is
  made, and is slow, so that no guest sees a second pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from pykvm import board
from pykvm.devices.cmos import Cmos
from pykvm.irq import IrqLine
from pykvm.layout import CMOS, PIC
from pykvm.manifest import Guest, load_manifest
from pykvm.manifest import guests_folder as find_folder
from tests.support.accesses import Access, recording
from tests.support.bundled import run_as_the_manifest_says

FOLDER = find_folder()
assert FOLDER is not None
GUESTS = {name: g for name, g in load_manifest(FOLDER).items() if g.kvm_only is None}

NOON = 946_728_000_000_000_000
"""2000-01-01 12:00:00 UTC, in ns since the epoch."""

SLOWER = 10
"""Then the clock's second takes ten, and its 64 Hz interrupt comes 6 times a second."""

TICKS = {
    "bios_disk": "a timer interrupts its BIOS 18 times a second, wherever that is by then",
    "pic_ticks": "one tick more than it counts may come before it looks",
    "pit_ticks": "one tick more than it counts may come before it looks",
}
"""Guests that a timer interrupts whenever it is time, and why so; of the ends of interrupts, which
are all that such a tick writes, it is not compared how many there are, and where."""

CLOCK_FLAGS = {
    "rtc_interrupts": "its first look at the clock's flags tells whether there has been a period",
}
"""Guests that read what depends on how long they have run, and what; these values are not
compared, but that they are read is."""

SHOWN = 6
"""Accesses before the first difference, for a message."""


def make_slow_cmos(irq: IrqLine, **ram: int) -> Cmos:
    """A CMOS clock that is told noon at first."""
    start = time.monotonic_ns()
    return Cmos(irq, clock=lambda: NOON + (time.monotonic_ns() - start) // SLOWER, **ram)


def accesses_of(guest: Guest, accel: str) -> list[Access]:
    with recording() as noted:
        run_as_the_manifest_says(guest, "user", accel)
    parts = [part for access in noted for part in access.halves()]
    if guest.name in TICKS:
        parts = [part for part in parts if part[:3] != ("port", PIC, True)]
    if guest.name in CLOCK_FLAGS:
        data = "port", CMOS + 1, False
        parts = [part._replace(value=0) if part[:3] == data else part for part in parts]
    return parts


def compare(kvm: list[Access], emu: list[Access]) -> None:
    """Fail at the first difference, and show what went before."""
    for index, (one, other) in enumerate(zip_longest(kvm, emu)):
        if one != other:
            before = ", ".join(map(str, kvm[max(index - SHOWN, 0) : index]))
            pytest.fail(f"access {index}: KVM {one}, the emulator {other}; before: {before}")


def everyone() -> Iterator[object]:
    """KVM's interrupt controllers and timer are none of their needs: pykvm's take their place."""
    for name, guest in GUESTS.items():
        needs = {*guest.needs, "interrupt_window"} - {"irqchip", "pit"}
        yield pytest.param(guest, id=name, marks=pytest.mark.needs(*sorted(needs)))


@pytest.mark.parametrize("guest", list(everyone()))
def test_both_accelerators_access_devices_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch, guest: Guest
) -> None:
    pytest.importorskip("unicorn", reason="unicorn, the emulator, is not installed")
    monkeypatch.setattr(board, "Cmos", make_slow_cmos)
    kvm = accesses_of(guest, "kvm")
    compare(kvm, accesses_of(guest, "emu"))
