"""The I/O APIC: an Intel 82093AA with the EOI register of its successors.

It turns the levels of 24 interrupt lines into messages to the local APICs, as its redirection
table says.  It is for a machine whose local APICs are KVM's and whose IOAPIC is not
(KVM_CAP_SPLIT_IRQCHIP): messages leave through `deliver`, and KVM tells of the EOIs of vectors
that it finds level-triggered among the routes, with KVM_EXIT_IOAPIC_EOI.

A message is delivered at once, so the delivery status always reads "idle".  A line here is
asserted or not, whatever its voltage; so the polarity bit is kept for the guest to read back and
heeded by nobody, as in KVM's own IOAPIC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pykvm.bus import Device
from pykvm.devices import ioapic_entry as rte
from pykvm.irq import IrqLine
from pykvm.x86 import is_unmaskable

PINS = 24
LENGTH = 0x1000

# Memory-mapped registers.
IOREGSEL = 0x00
IOWIN = 0x10
EOI = 0x40

# Registers behind the window.
IOAPICID = 0x00
IOAPICVER = 0x01
IOAPICARB = 0x02
IOREDTBL = 0x10

ID_SHIFT = 24
ID_BITS = 0x0F << ID_SHIFT
VERSION = 0x20
"""The first version with an EOI register (0x11 is the 82093AA itself)."""
MAX_ENTRY_SHIFT = 16

_ALL_ONES = 0xFFFF_FFFF
_HALF_BITS = 32


class Route(NamedTuple):
    """What the line at `pin` sends: `data`, written to `address`."""

    pin: int
    address: int
    data: int


class IoApic(Device):
    """The IOAPIC's registers: a selector at offset 0, a window at 0x10, EOI at 0x40.

    The window takes 32-bit accesses; narrower ones read its low bytes and write nothing.

    Args:
        deliver: sends a message (address, data); tells whether a local APIC accepted it.
        on_route_change: called whenever `routes` gives something else than before, and before
            the message of such a route is delivered.
    """

    name = "IOAPIC"
    width = 4

    def __init__(
        self,
        deliver: Callable[[int, int], bool],
        *,
        on_route_change: Callable[[], None] | None = None,
    ) -> None:
        self._deliver = deliver
        self._on_route_change = on_route_change
        self._select = 0
        self._id = self._arbitration_id = 0
        self._table = [rte.MASKED] * PINS
        self._lines = tuple(IrqLine(self._listener(pin)) for pin in range(PINS))
        self._routes: tuple[Route, ...] = ()

    def _listener(self, pin: int) -> Callable[[bool], None]:
        return lambda level: self._line_changed(pin, level)

    # The host's side.

    def line(self, pin: int) -> IrqLine:
        """The line into `pin`, 0 to 23; always the same one.

        Devices that share a pin need an OR in front of it.
        """
        return self._lines[pin]

    def routes(self) -> tuple[Route, ...]:
        """What KVM's routing table is to hold for these pins, in their order.

        That is one route for each entry that is not masked, and for each whose EOI is still to
        come: without its route KVM would not tell of an EOI that the guest sends after it has
        masked the pin.
        """
        return self._routes

    def end_of_interrupt(self, vector: int) -> None:
        """A local APIC ended `vector`: the lines that it stood for may interrupt again.

        Those that are still asserted do so at once.
        """
        ended = [
            pin
            for pin, entry in enumerate(self._table)
            if entry & rte.REMOTE_IRR and entry & rte.VECTOR == vector
        ]
        for pin in ended:
            self._table[pin] &= ~rte.REMOTE_IRR
        self._update_routes()
        for pin in ended:
            self._sense_level(pin)

    def may_send_unmaskable(self) -> bool:
        """Whether some pin would send what RFLAGS.IF does not hold back: SMI, NMI or INIT."""
        return any(is_unmaskable(entry) for entry in self._table)

    def reset(self) -> None:
        """Be as after power-on: every pin masked.  The lines keep their levels."""
        self._select = 0
        self._id = self._arbitration_id = 0
        self._table = [rte.MASKED] * PINS
        self._update_routes()

    # The guest's side.

    def read(self, offset: int, size: int) -> int:
        """The selector or the register behind the window; all ones elsewhere."""
        if offset == IOREGSEL:
            return self._select
        return self._read_register() if offset == IOWIN else _ALL_ONES

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a register, write the one selected, or end an interrupt by its vector."""
        if offset == IOREGSEL:
            self._select = value & 0xFF
        elif offset == IOWIN and size == self.width:
            self._write_register(value)
        elif offset == EOI:
            self.end_of_interrupt(value & rte.VECTOR)

    def _read_register(self) -> int:
        if self._select == IOAPICID:
            return self._id
        if self._select == IOAPICVER:
            return (PINS - 1) << MAX_ENTRY_SHIFT | VERSION
        if self._select == IOAPICARB:
            return self._arbitration_id
        pin, half = divmod(self._select - IOREDTBL, 2)
        if 0 <= pin < PINS:
            return self._table[pin] >> _HALF_BITS * half & _ALL_ONES
        return _ALL_ONES

    def _write_register(self, value: int) -> None:
        if self._select == IOAPICID:
            self._id = self._arbitration_id = value & ID_BITS
        pin, half = divmod(self._select - IOREDTBL, 2)
        if 0 <= pin < PINS:
            self._write_entry(pin, value << _HALF_BITS * half, _ALL_ONES << _HALF_BITS * half)

    def _write_entry(self, pin: int, value: int, written: int) -> None:
        """Write the bits `written` of an entry, as far as they can be.

        Remote IRR means nothing to an edge, so it is cleared there.  Kernels rely on this where
        there is no EOI register: they turn an entry to edge and back to free it.
        """
        written &= rte.WRITABLE
        entry = self._table[pin] & ~written | value & written
        self._table[pin] = entry if rte.is_level(entry) else entry & ~rte.REMOTE_IRR
        self._update_routes()
        self._sense_level(pin)

    # From a line to a message.

    def _line_changed(self, pin: int, level: bool) -> None:
        """An edge on a masked pin is lost (datasheet, interrupt mask); a level is looked at again
        when that changes."""
        entry = self._table[pin]
        if rte.is_level(entry):
            self._sense_level(pin)
        elif level and not entry & rte.MASKED:
            self._send(pin)

    def _sense_level(self, pin: int) -> None:
        entry = self._table[pin]
        held_back = entry & (rte.MASKED | rte.REMOTE_IRR)
        if rte.is_level(entry) and self._lines[pin].level and not held_back and self._send(pin):
            self._table[pin] |= rte.REMOTE_IRR

    def _send(self, pin: int) -> bool:
        message = rte.message(self._table[pin])
        return message is not None and self._deliver(*message)

    def _update_routes(self) -> None:
        routes = tuple(
            Route(pin, *message)
            for pin, entry in enumerate(self._table)
            if (not entry & rte.MASKED or entry & rte.REMOTE_IRR)
            and (message := rte.message(entry)) is not None
        )
        if routes != self._routes:
            self._routes = routes
            if self._on_route_change is not None:
                self._on_route_change()
