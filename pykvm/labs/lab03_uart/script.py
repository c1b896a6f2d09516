"""Acts upon a student's serial port, and what is expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "uart.py"
DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(8)
NAMES = ("offset 0", "IER", "IIR", "LCR", "MCR", "LSR", "MSR", "SCR")
DLAB, OUT2, READY = 0x80, 0x08, 0x60

Act = tuple[str, int, int] | tuple[str, bytes] | tuple[str]


def play(student: Student, acts: Sequence[Act]) -> tuple[list[int], bytes]:
    """What a UART answers to each act, and what it sends; it is told as it happens."""
    level = [False]
    sent = bytearray()

    def line(on: bool) -> None:
        level[0] = bool(on)

    uart = student.get(FILE, "Uart")(line, sent.extend)
    answers = []
    for kind, *rest in acts:
        answer = -1
        if kind == "write":
            uart.write(rest[0], 1, rest[1])
        elif kind == "read":
            answer = uart.read(rest[0], 1)
        elif kind == "receive":
            uart.receive(rest[0])
        else:
            answer = int(level[0])
        answers.append(answer)
    return answers, bytes(sent)


class Script:
    """Acts upon a UART, and what is expected of it."""

    def __init__(self) -> None:
        self._acts: list[Act] = []
        self._expected: dict[int, tuple[int, int]] = {}

    def write(self, register: int, *values: int) -> Script:
        self._acts += [("write", register, value) for value in values]
        return self

    def receive(self, data: bytes) -> Script:
        self._acts.append(("receive", data))
        return self

    def read(self, register: int, expected: int, mask: int = 0xFF) -> Script:
        self._expected[len(self._acts)] = (expected, mask)
        self._acts.append(("read", register, mask))
        return self

    def line(self, expected: bool) -> Script:
        self._expected[len(self._acts)] = (int(expected), 1)
        self._acts.append(("line",))
        return self

    def play(self, work: Work) -> bytes:
        """Have it played; `Wrong` at the first answer that is not as expected.

        Returns:
            what the UART sent.
        """
        answers, sent = work.scenario(play, self._acts)
        for i, (expected, mask) in self._expected.items():
            answer = answers[i]
            if not isinstance(answer, int) or answer & mask != expected:
                self._blame(i, answer, expected, mask)
        assert isinstance(sent, bytes)
        return sent

    def _blame(self, at: int, answer: Any, expected: int, mask: int) -> None:
        before = "; ".join(map(told, self._acts[max(at - 6, 0) : at])) or "nothing"
        if self._acts[at] == ("line",):
            levels = ("low", "high")
            raise Wrong(
                f"after: {before}: the interrupt line is {levels[answer]}, it should be "
                f"{levels[expected]}"
            )
        bits = f" in the bits {mask:#04x}" if mask != 0xFF else ""
        got = f"{answer:#04x}" if isinstance(answer, int) else repr(answer)
        raise Wrong(
            f"after: {before}: {told(self._acts[at])} gave {got}, it should give "
            f"{expected:#04x}{bits}"
        )


def told(act: Act) -> str:
    """An act in words."""
    match act:
        case ("write", int(register), int(value)):
            return f"write {value:#04x} to {NAMES[register]}"
        case ("read", int(register), _):
            return f"read {NAMES[register]}"
        case ("receive", bytes(data)):
            return f"receive {data!r}"
    return "look at the line"
