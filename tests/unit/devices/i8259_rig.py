"""A pair of interrupt controllers on a bus, as a PC has them."""

from __future__ import annotations

from pykvm.bus import PORT_SPACE, Bus
from pykvm.devices.i8259_pair import I8259Pair

MASTER, SLAVE, ELCR = 0x20, 0xA0, 0x4D0
MASTER_BASE, SLAVE_BASE = 0x20, 0x70


class PairRig:
    """The pair, and what a guest's BIOS does with it."""

    def __init__(self) -> None:
        self.served: list[int] = []
        self.ended: list[int] = []
        self.pair = I8259Pair(
            on_service=lambda irq, begins: (self.served if begins else self.ended).append(irq)
        )
        self.ports = Bus("port", PORT_SPACE, strict=True)
        self.ports.attach(MASTER, 2, self.pair.master)
        self.ports.attach(SLAVE, 2, self.pair.slave)
        self.ports.attach(ELCR, 2, self.pair.edge_level)

    def initialize(self, *, master_icw4: int = 1, slave_icw4: int = 1) -> None:
        for port, words in (
            (MASTER, (0x11, MASTER_BASE, 0x04, master_icw4)),
            (SLAVE, (0x11, SLAVE_BASE, 0x02, slave_icw4)),
        ):
            self.out(port, words[0])
            for word in words[1:]:
                self.out(port + 1, word)

    def out(self, port: int, value: int) -> None:
        self.ports.write(port, 1, value)

    def inp(self, port: int) -> int:
        return self.ports.read(port, 1)

    def isr(self, port: int) -> int:
        self.out(port, 0x0B)
        return self.inp(port)

    def irr(self, port: int) -> int:
        self.out(port, 0x0A)
        return self.inp(port)

    def raise_irq(self, *irqs: int) -> None:
        for irq in irqs:
            self.pair.set_input(irq, True)

    def lower_irq(self, *irqs: int) -> None:
        for irq in irqs:
            self.pair.set_input(irq, False)

    def taken(self) -> list[int]:
        """Acknowledge as long as there is something; the vectors."""
        vectors = []
        while self.pair.intr.level:
            vectors.append(self.pair.acknowledge())
            assert len(vectors) < 100, "it never ends"
        return vectors
