"""The text screen of a machine with a BIOS, at the ports of its controller."""

from __future__ import annotations

import pytest

from pykvm import Machine, StopReason
from pykvm.errors import GuestCrash
from pykvm.layout import MIB
from tests.kvm.test_machine_bios import CLI_HLT, machine_with, sector

pytestmark = pytest.mark.needs()

MOVE_THE_CURSOR = (
    "ba d4 03",  # mov dx, 0x3d4
    "b8 0e 03",  # mov ax, 0x030e
    "ef",  # out dx, ax
    "b8 0f e2",  # mov ax, 0xe20f
    "ef",  # out dx, ax
)
WAIT_FOR_RETRACE = (
    "ba da 03",  # mov dx, 0x3da
    "ec",  # in al, dx
    "a8 08",  # test al, 8
    "75 fb",  # jnz to the in
    "ec",  # in al, dx
    "a8 08",  # test al, 8
    "74 fb",  # jz to the in
)


def test_a_guest_moves_the_cursor_by_ports() -> None:
    with machine_with(sector(*MOVE_THE_CURSOR, *CLI_HLT)) as (machine, _):
        assert machine.run(timeout=20).reason is StopReason.HALTED
        assert machine.bios is not None
        assert machine.bios.frame().cursor == divmod(0x3E2, 80)


def test_a_guest_waits_for_the_retrace() -> None:
    with machine_with(sector(*WAIT_FOR_RETRACE, *CLI_HLT)) as (machine, _):
        assert machine.run(timeout=20).reason is StopReason.HALTED


def test_without_the_bios_the_ports_are_gone() -> None:
    code = bytes.fromhex("".join((*MOVE_THE_CURSOR, "f4")))  # and hlt
    with Machine(2 * MIB, strict=True) as machine:
        for _ in range(2):
            machine.load(sector(*MOVE_THE_CURSOR, *CLI_HLT))
            assert machine.run(timeout=20).reason is StopReason.HALTED
            machine.load(code)
            with pytest.raises(GuestCrash, match="0x3d4"):
                machine.run(timeout=20)
