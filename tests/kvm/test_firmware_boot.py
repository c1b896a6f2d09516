"""A machine that starts from a firmware image: in it, and in its copy below 1 MiB."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from pykvm import Machine, Stop, StopReason
from pykvm.boot.firmware_image import SEABIOS, read_seabios
from pykvm.errors import ImageError
from pykvm.layout import KIB, MIB

GUESTS = Path(__file__).parents[2] / "guests"

AT_RESET = bytes.fromhex(
    "b0 54"  # mov al, 0x54
    "e6 e9"  # out 0xe9, al
    "ea 00 00 00 f0"  # ljmp 0xf000:0
)

BELOW_1_MIB = bytes.fromhex(
    "2e c6 06 10 00 4c"  # mov byte ptr cs:[0x10], 0x4c
    "2e a0 10 00"  # mov al, byte ptr cs:[0x10]
    "e6 e9"  # out 0xe9, al
    "f4"  # hlt
)


@pytest.mark.parametrize("size", [128 * KIB, 256 * KIB])
def test_it_starts_at_the_reset_vector_and_goes_on_below_1_mib(size: int, accel: str) -> None:
    """The far jump loads CS, whose base is 0xF0000 from then on; RAM is writable there."""
    image = bytearray(size)
    image[-16 : -16 + len(AT_RESET)] = AT_RESET
    image[-64 * KIB : -64 * KIB + len(BELOW_1_MIB)] = BELOW_1_MIB
    with Machine(2 * MIB, strict=True, accel=accel) as machine:
        for _ in range(2):
            machine.boot_firmware(bytes(image))
            assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.debug_output == b"TLTL"


seabios = pytest.mark.skipif(
    not any(Path(place).exists() for place in SEABIOS),
    reason="SeaBIOS is not installed (Debian: apt-get install seabios)",
)


@seabios
def test_seabios_finds_its_machine(accel: str) -> None:
    with Machine(accel=accel) as machine:
        machine.boot_firmware(read_seabios())
        for words in (b"SeaBIOS (version", b"fw_cfg DMA interface supported"):
            for _ in range(100):
                if words in machine.debug_output:
                    break
                machine.run(timeout=0.2)
            assert words in machine.debug_output
        assert (b"Running on KVM" in machine.debug_output) == (accel == "kvm")
        machine.load(GUESTS / "bios_disk.bin")
        assert machine.bios is not None
        machine.bios.keyboard.type(b"\x1b")
        assert machine.run(timeout=20).reason is StopReason.HALTED


def test_firmware_cannot_change_itself_and_goes_with_the_next_image(accel: str) -> None:
    code = bytes.fromhex(
        "2e c6 06 00 00 4c"  # mov byte ptr cs:[0], 0x4c
        "2e a0 00 00"  # mov al, byte ptr cs:[0]
        "e6 f4"  # out 0xf4, al
    )
    image = bytearray(128 * KIB)
    image[-16 : -16 + len(code)] = code
    with Machine(2 * MIB, accel=accel) as machine:
        for _ in range(2):
            machine.boot_firmware(bytes(image))
            assert machine.run(timeout=10) == Stop(StopReason.DEBUG_EXIT, 0)
            machine.load(bytes.fromhex("f4"))
            assert machine.run(timeout=10).reason is StopReason.HALTED
        with pytest.raises(ImageError):
            machine.boot_firmware(bytes(100))


def test_of_firmware_that_was_replaced_before_it_ran_nothing_is_left(accel: str) -> None:
    """What a guest writes to ROM is put right behind it: in the one that is there, only."""
    code = bytes.fromhex(
        "2e c6 06 00 00 4c"  # mov byte ptr cs:[0], 0x4c
        "f4"  # hlt
    )
    image = bytearray(64 * KIB)
    image[-16 : -16 + len(code)] = code
    with Machine(2 * MIB, accel=accel) as machine:
        machine.boot_firmware(bytes(192 * KIB) + image)
        machine.boot_firmware(bytes(image))
        with mmap.mmap(-1, 192 * KIB) as others:  # where the first one was, perhaps
            others[:] = b"\x55" * len(others)
            assert machine.run(timeout=10).reason is StopReason.HALTED
            assert others[:] == b"\x55" * len(others)
