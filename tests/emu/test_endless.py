"""Instructions that would last for ever, or nearly: a deadline ends them, too."""

from __future__ import annotations

from itertools import count

import pytest

from pykvm import Device, Machine, Mode, StopReason

pytestmark = pytest.mark.emulated


class Counter(Device):
    """Never answers alike."""

    name = "counter"
    width = 4

    def __init__(self) -> None:
        self._answers = count(1)
        self.written: list[int] = []

    def read(self, offset: int, size: int) -> int:
        return next(self._answers)

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append(value)


def test_lock_neg_of_a_device_that_never_answers_alike_ends() -> None:
    """Unicorn compares and exchanges until it finds what it has read before."""
    device = Counter()
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.mmio.attach(0xE000_0000, 4, device)
        code = "f0 f7 1d 00 00 00 e0  f4"  # lock neg dword [0xe0000000]; hlt
        machine.load(bytes.fromhex(code), mode=Mode.PROTECTED)
        assert machine.run(timeout=60).reason is StopReason.HALTED
    assert device.written[-1] == (1 << 32) - 2


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("f3 ac", id="rep lodsb"),
        pytest.param("f3 aa", id="rep stosb"),
        pytest.param("f3 a6", id="repe cmpsb"),
        pytest.param("f3 6c", id="rep insb"),
        pytest.param("f3 6e", id="rep outsb"),
    ],
)
def test_a_deadline_ends_a_string_instruction(code: str) -> None:
    """In memory that is no RAM, reads give all ones, and writes do nothing."""
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.load(
            bytes.fromhex(
                "b9 ff ff ff ff"  # mov ecx, -1
                "be 00 00 00 10  bf 00 00 00 20"  # mov esi, 0x10000000; mov edi, 0x20000000
                "66 ba 00 02" + code + "f4"  # mov dx, 0x200
            ),
            mode=Mode.PROTECTED,
        )
        assert machine.run(timeout=0.05).reason is StopReason.TIMEOUT


def test_a_timer_that_is_always_due_lets_the_guest_go_on() -> None:
    code = bytes.fromhex(
        "b0 34 e6 43"  # channel 0: mode 2, both bytes
        "b0 02 e6 40 b0 00 e6 40"  # every 2 ticks
        "b0 11 e6 20 b0 08 e6 21 b0 04 e6 21 b0 01 e6 21"  # the first PIC: vectors from 8
        "b0 fe e6 21"  # only the timer
        "90 f4"  # nop; hlt, with IF = 0
    )
    with Machine("64K", accel="emu") as machine:
        machine.load(code)
        assert machine.run(timeout=10).reason is StopReason.HALTED
