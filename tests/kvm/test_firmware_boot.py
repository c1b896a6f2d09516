"""A machine that starts from a firmware image: in it, and in its copy below 1 MiB."""

from __future__ import annotations

import mmap
from contextlib import ExitStack

import pytest

from pykvm import Machine, StopReason
from pykvm._shim import ffi
from pykvm.boot.firmware_image import boot_firmware
from pykvm.layout import KIB, MIB
from pykvm.memory import Gpa

SLOT = 8

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
def test_it_starts_at_the_reset_vector_and_goes_on_below_1_mib(size: int) -> None:
    """The far jump loads CS, whose base is 0xF0000 from then on; RAM is writable there."""
    image = bytearray(size)
    image[-16 : -16 + len(AT_RESET)] = AT_RESET
    image[-64 * KIB : -64 * KIB + len(BELOW_1_MIB)] = BELOW_1_MIB
    firmware = boot_firmware(bytes(image))
    with ExitStack() as stack:
        rom = stack.enter_context(mmap.mmap(-1, size))
        rom[:] = firmware.data
        window = stack.enter_context(ffi.from_buffer(rom))
        machine = stack.enter_context(Machine(2 * MIB, strict=True))
        address = int(ffi.cast("uintptr_t", window))
        machine.vm.set_memory_slot(SLOT, firmware.gpa, size, address)
        for piece in firmware.state.pieces:
            machine.memory.write(Gpa(piece.gpa), piece.data)
        machine.cpus[0].load(firmware.state)
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.debug_output == b"TL"
        assert rom[:] == firmware.data
