"""What a machine has for each kind of interrupt controllers."""

from __future__ import annotations

import pytest

from pykvm import Machine

pytestmark = pytest.mark.needs()

SPEAKER = (
    "b0 03",  # mov al, 3
    "e6 61",  # out 0x61, al
    "e4 61",  # in al, 0x61
    "24 0f",  # and al, 0xf
    "e6 f4",  # out 0xf4, al
)


def code(*lines: str) -> bytes:
    return bytes.fromhex("".join(lines))


@pytest.mark.parametrize("irqchip", ["kernel", "split", "none"])
def test_the_speaker_s_port_keeps_what_is_written(irqchip: str) -> None:
    with Machine(strict=True, irqchip=irqchip) as machine:
        for _ in range(2):
            machine.load(code(*SPEAKER))
            assert machine.run(timeout=10).value == 3


@pytest.mark.parametrize("irqchip", ["split", "none"])
def test_another_image_finds_the_speaker_silent(irqchip: str) -> None:
    with Machine(strict=True, irqchip=irqchip) as machine:
        machine.load(code(*SPEAKER))
        machine.run(timeout=10)
        machine.load(code(*SPEAKER[2:]))
        assert machine.run(timeout=10).value == 0
