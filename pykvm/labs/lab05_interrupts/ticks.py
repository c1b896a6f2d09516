"""Running a student's ticks.s: a button for it, a program behind it, and what was found."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pykvm.bus import Device
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.toolchain import assemble
from pykvm.labs.work import Work

HERE = Path(__file__).parent
TICKS = "ticks.s"
LOAD, PROGRAM = 0x1000, 0x3000
FLAGS = 0x7F0
FIRST_LOOK = bytes.fromhex(
    "9c"  # pushf
    "2e 8f 06 f0 07"  # pop word ptr cs:[FLAGS]
    "fa"  # cli
    "f4"  # hlt
)
IF = 0x200
ROOM = PROGRAM - LOAD
BUTTON, BUTTON_IRQ = 0xE2, 10


class Button(Device):
    """Gives a byte at each press, by an interrupt; a write to its second port presses it."""

    name = "button"

    def __init__(self, machine: Any, given: bytes) -> None:
        self._machine = machine
        self._given = list(given)
        self._waits = False
        self.reads_without_press = 0

    def _line(self, level: bool) -> None:
        from pykvm.kvm import irq_line

        irq_line(self._machine.vm, BUTTON_IRQ, level)

    def read(self, offset: int, size: int) -> int:
        """Take the byte: the line goes low."""
        if offset or not self._waits:
            self.reads_without_press += 1
            return 0xFF
        self._waits = False
        self._line(False)
        return self._given.pop(0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Press it, unless it is already or there is nothing left to give."""
        if offset == 1 and self._given and not self._waits:
            self._waits = True
            self._line(True)


def run_ticks(_: Student, image: bytes, program: bytes, ram: bytes, given: bytes) -> dict[str, Any]:
    """What becomes of the student's ticks.s with a program behind it."""
    from dataclasses import asdict

    from pykvm.errors import GuestCrash
    from pykvm.kvm.chipstate import Chip
    from pykvm.kvm.irqchip import IrqChip
    from pykvm.machine import Machine
    from pykvm.memory import Gpa
    from pykvm.x86 import Mode

    with Machine("1M", accel="kvm") as machine:
        machine.load(image, mode=Mode.REAL, bios=False)
        machine.memory.write(Gpa(PROGRAM), program)
        machine.memory.write(Gpa(0x700), ram)
        button = Button(machine, given)
        machine.ports.attach(BUTTON, 2, button)
        try:
            end = machine.run(timeout=1.5).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
        assert isinstance(machine.irqchip, IrqChip)
        assert machine.pit is not None
        return {
            "end": end,
            "low": machine.memory.read(Gpa(0), 0x800),
            "master": asdict(machine.irqchip.get_pic(Chip.PIC_MASTER)),
            "slave": asdict(machine.irqchip.get_pic(Chip.PIC_SLAVE)),
            "timer": asdict(machine.pit.get_state().channels[0]),
            "rip": machine.cpus[0].vcpu.get_regs().rip,
            "extra": button.reads_without_press,
        }


def assembled(work: Work, file: str) -> bytes:
    """A source's image, which must end below the program."""
    image = work.assemble(file)
    if len(image) > ROOM:
        raise Wrong(f"{file} gives {len(image)} bytes: it reaches over the program at 0x3000")
    return image


def word(memory: bytes, at: int) -> int:
    """The word at an address."""
    return int.from_bytes(memory[at : at + 2], "little")


@cache
def set_up(work: Work) -> tuple[dict[str, Any], int]:
    """What ticks.s has set up when the program begins, and where its image ends."""
    image = assembled(work, TICKS)
    found = work.scenario(run_ticks, image, FIRST_LOOK, b"", b"", seconds=8)
    if found["end"] != "halted" or found["rip"] != PROGRAM + len(FIRST_LOOK):
        raise Wrong(
            f"ticks.s never came to the program at {PROGRAM:#x}: it ended so: {found['end']}, at "
            f"{found['rip']:#x}",
            "README.md, section 3",
        )
    return found, LOAD + len(image)


def interrupted(
    work: Work, ticks: int, given: bytes, values: list[int]
) -> tuple[dict[str, Any], int, bytes]:
    """How ticks.s does with the checker's program: what was found, ticks, bytes."""
    program = assemble(HERE / "real_program.s", "real")
    ram = ticks.to_bytes(2, "little") + len(given).to_bytes(2, "little")
    ram = ram.ljust(0x10, b"\0") + b"".join(value.to_bytes(2, "little") for value in values)
    found = work.scenario(run_ticks, assembled(work, TICKS), program, ram, given, seconds=8)
    count = word(found["low"], 0x502)
    return found, word(found["low"], 0x500), found["low"][0x600 : 0x600 + min(count, 256)]


def in_service(found: dict[str, Any]) -> str:
    """What a guest that did not end waits for, as the controllers have it."""
    words = [
        f"the {name} PIC's in-service register is {found[name]['isr']:08b}"
        for name in ("master", "slave")
        if found[name]["isr"]
    ]
    if words:
        return f"{' and '.join(words)}: no end of interrupt came, so it holds back the next ones"
    return "nothing is in service"
