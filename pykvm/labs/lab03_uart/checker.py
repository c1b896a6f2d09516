"""What a serial port must do, and its driver: see README.md."""

from __future__ import annotations

from pathlib import Path
from random import Random

from pykvm.bus import Device
from pykvm.labs.lab03_uart.script import (
    DATA,
    DLAB,
    FILE,
    IER,
    IIR,
    LCR,
    LSR,
    MCR,
    MSR,
    OUT2,
    READY,
    SCR,
    Script,
)
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.toolchain import assemble
from pykvm.labs.work import Work

DRIVER = "driver.s"
HERE = Path(__file__).parent
COM2, IRQ = 0x2F8, 3
CTRL_D = b"\x04"


def some_text(random: Random) -> bytes:
    """Characters, without Ctrl-D."""
    return bytes(random.choices(range(0x20, 0x100), k=random.randrange(4, 20)))


@step("sends what is written to THR", look="README.md, section 2")
def sends(work: Work) -> None:
    text = some_text(work.random)
    expect(Script().write(DATA, *text).play(work), text, "what is sent after a write of each")


@step("says in LSR that it can send, and what it has received", look="README.md, section 3")
def tells_status(work: Work) -> None:
    text = some_text(work.random)
    script = Script().read(LSR, READY, 0x7F).write(DATA, 0x55).read(LSR, READY, 0x7F)
    script.receive(text[:2]).receive(text[2:])
    for byte in text:
        script.read(LSR, READY | 1, 0x7F).read(LSR, READY | 1, 0x7F).read(DATA, byte)
    script.read(LSR, READY, 0x7F).play(work)


@step("keeps divisor, format and scratch apart from data", look="README.md, section 4")
def has_a_latch(work: Work) -> None:
    low, high, scratch = (work.random.randrange(1, 256) for _ in range(3))
    sent = (
        Script()
        .write(IER, 0)
        .receive(b"k")
        .write(LCR, DLAB | 3)
        .write(DATA, low)
        .write(IER, high)
        .read(DATA, low)
        .read(IER, high)
        .read(LCR, DLAB | 3)
        .write(LCR, 3)
        .write(SCR, scratch)
        .read(IER, 0)
        .read(DATA, ord("k"))
        .read(SCR, scratch)
        .read(MSR, 0xB0)
        .write(IIR, 0xC7)
        .write(DATA, 0x41)
        .play(work)
    )
    expect(sent, b"A", "what was sent, after a divisor and then, with DLAB off, 'A'")


@step("interrupts while there is data", look="README.md, section 5", after=tells_status)
def interrupts_received(work: Work) -> None:
    one, two = some_text(work.random)[:2]
    (
        Script()
        .write(MCR, OUT2)
        .line(False)
        .receive(bytes([one]))
        .line(False)
        .read(IIR, 1, 0x0F)
        .write(IER, 1)
        .line(True)
        .read(IIR, 4, 0x0F)
        .read(IIR, 4, 0x0F)
        .receive(bytes([two]))
        .read(DATA, one)
        .line(True)
        .read(DATA, two)
        .line(False)
        .read(IIR, 1, 0x0F)
        .receive(b"x")
        .line(True)
        .write(IER, 0)
        .line(False)
        .play(work)
    )


@step("interrupts when it can send", look="README.md, section 5", after=tells_status)
def interrupts_empty(work: Work) -> None:
    (
        Script()
        .write(MCR, OUT2)
        .read(IIR, 1, 0x0F)
        .write(IER, 2)
        .line(True)
        .read(IIR, 2, 0x0F)
        .line(False)
        .read(IIR, 1, 0x0F)
        .write(DATA, 0x41)
        .line(True)
        .read(IIR, 2, 0x0F)
        .line(False)
        .write(IER, 0)
        .write(DATA, 0x42)
        .line(False)
        .write(IER, 2)
        .line(True)
        .play(work)
    )


@step(
    "tells data before an empty transmitter, and forgets neither",
    look="README.md, section 5",
    after=(interrupts_received, interrupts_empty),
)
def has_priorities(work: Work) -> None:
    (
        Script()
        .write(MCR, OUT2)
        .write(IER, 3)
        .receive(b"k")
        .read(IIR, 4, 0x0F)
        .read(IIR, 4, 0x0F)
        .read(DATA, ord("k"))
        .line(True)
        .read(IIR, 2, 0x0F)
        .line(False)
        .play(work)
    )


@step("lets OUT2 gate the line", look="README.md, section 5", after=interrupts_received)
def has_a_gate(work: Work) -> None:
    (
        Script()
        .write(IER, 1)
        .receive(b"k")
        .line(False)
        .read(IIR, 4, 0x0F)
        .write(MCR, OUT2)
        .line(True)
        .write(MCR, 0x03)
        .line(False)
        .play(work)
    )


def run_with_uart(student: Student, image: bytes, keys: bytes) -> tuple[str, bytes]:
    """How a guest ends whose COM2 is the student's, and what it sent."""
    from pykvm.kvm import irq_line
    from pykvm.machine import Machine

    sent = bytearray()
    with Machine("1M") as machine:
        uart = student.get(FILE, "Uart")(
            lambda level: irq_line(machine.vm, IRQ, bool(level)), sent.extend
        )
        uart.receive(keys)
        machine.ports.attach(COM2, 8, uart)
        machine.load(image, bios=False)
        return machine.run(timeout=5).reason.value, bytes(sent)


def echoes(work: Work, source: str) -> None:
    keys = some_text(work.random)
    image = assemble(HERE / source, "real")
    end, sent = work.scenario(run_with_uart, image, keys + CTRL_D)
    expect(sent, keys, f"what an echo sends back of {keys!r} (the guest: {end})")
    expect(end, "halted", "how the echo ends")


@step("serves a guest that polls", look="README.md, section 3", after=tells_status, needs=("kvm",))
def serves_polling(work: Work) -> None:
    echoes(work, "polled.s")


@step(
    "serves a guest that waits for interrupts",
    look="README.md, section 5",
    after=(has_priorities, has_a_gate),
    needs=("irqchip",),
)
def serves_interrupts(work: Work) -> None:
    echoes(work, "interrupts.s")


class SlowUart(Device):
    """The checker's own: takes a character only when it is ready, as a line of 115200 baud does."""

    name = "slow UART"

    def __init__(self, keys: bytes, seed: int) -> None:
        self._random = Random(seed)
        self._keys = list(keys)
        self._until_data, self._until_empty = 3, 0
        self._registers = [0] * 8
        self.divisor = [0, 0]
        self.sent = bytearray()
        self.mistakes: list[str] = []

    @property
    def format(self) -> tuple[int, int, int]:
        """LCR, IER and the divisor."""
        low, high = self.divisor
        return self._registers[LCR], self._registers[IER], high << 8 | low

    def read(self, offset: int, size: int) -> int:
        """A register; time goes on with each look at LSR."""
        if offset == LSR:
            self._until_data = max(self._until_data - 1, 0)
            self._until_empty = max(self._until_empty - 1, 0)
            ready = bool(self._keys) and not self._until_data
            return (0 if self._until_empty else READY) | ready
        if offset != DATA:
            return self._registers[offset]
        if self._until_data or not self._keys:
            self._note("read RBR while LSR's DR was 0")
            return 0xFF
        self._until_data = self._random.randrange(2, 6)
        return self._keys.pop(0)

    def write(self, offset: int, size: int, value: int) -> None:
        """A register."""
        if offset < 2 and self._registers[LCR] & DLAB:
            self.divisor[offset] = value
        elif offset != DATA:
            self._registers[offset] = value
        elif self._until_empty:
            self._note("wrote THR while LSR's THRE was 0: the character is lost")
        else:
            # the first one longer than the next to come in: who does not wait is always caught
            self._until_empty = self._random.randrange(2, 6) if self.sent else 8
            self.sent.append(value)

    def _note(self, mistake: str) -> None:
        if len(self.mistakes) < 10:
            self.mistakes.append(mistake)


def run_driver(
    _: Student, image: bytes, keys: bytes, seed: int
) -> tuple[str, bytes, tuple[int, int, int], list[str]]:
    """What becomes of the student's driver on a slow line."""
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine

    uart = SlowUart(keys, seed)
    with Machine("1M") as machine:
        machine.ports.attach(COM2, 8, uart)
        machine.load(image, bios=False)
        try:
            end = machine.run(timeout=5).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
    return end, bytes(uart.sent), uart.format, uart.mistakes


@step(
    "the driver sends back what comes in, on a slow line, too",
    look="README.md, section 6",
    needs=("machine",),
)
def drives(work: Work) -> None:
    image = work.assemble(DRIVER)
    keys = some_text(work.random)
    seed = work.random.randrange(1000)
    end, sent, form, mistakes = work.scenario(run_driver, image, keys + CTRL_D, seed)
    if mistakes:
        raise Wrong(f"the driver {mistakes[0]}; it sent {sent!r} of {keys!r}")
    expect(sent, keys, f"what the driver sends back of {keys!r} (it ended so: {end})")
    expect(end, "halted", "how the driver ends after Ctrl-D")
    expect(form, (0x03, 0, 1), "LCR, IER and the divisor that the driver has set")
