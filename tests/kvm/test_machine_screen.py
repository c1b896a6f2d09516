"""The screen, the keys and the disks of a machine with a BIOS."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykvm import Device, Machine, StopReason
from pykvm.bios import Disk
from pykvm.errors import GuestCrash, GuestMemoryError
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


def test_keys_are_taken_from_a_guest_in_real_mode_only() -> None:
    into_protected_mode = (
        "0f 20 c0",  # mov eax, cr0
        "0c 01",  # or al, 1
        "0f 22 c0",  # mov cr0, eax
    )
    for lines, keys in ((CLI_HLT, b"ab"), ((*into_protected_mode, *CLI_HLT), b"b")):
        with machine_with(sector(*lines)) as (machine, _):
            bios = machine.bios
            assert bios is not None
            assert machine.run(timeout=20).reason is StopReason.HALTED
            bios.keyboard.type(b"a")
            bios.keyboard.refill()
            bios.keyboard.type(b"b")
            assert bytes(key & 0xFF for key in machine.take_keys()) == keys
        assert machine.take_keys() == []


class Taker(Device):
    """Takes the keys of the machine that is running, as a device of its could."""

    machine: Machine

    def write(self, offset: int, size: int, value: int) -> None:
        self.machine.take_keys()


def test_no_keys_are_taken_from_a_guest_that_runs() -> None:
    """Asking its processor would wait for it."""
    with machine_with(sector("e6 e0", *CLI_HLT)) as (machine, _):  # out 0xe0, al
        taker = Taker()
        taker.machine = machine
        machine.ports.attach(0xE0, 1, taker)
        with pytest.raises(RuntimeError, match="running"):
            machine.run(timeout=20)


def is_open(disk: Disk) -> bool:
    try:
        disk.read(0, memoryview(bytearray(512)))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("own", [False, True])
def test_a_machine_closes_the_disks_that_are_its_own(tmp_path: Path, own: bool) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(sector(*CLI_HLT))
    with Disk(path) as disk, Machine(2 * MIB) as machine:
        machine.boot([disk], own=own)
        assert machine.run(timeout=20).reason is StopReason.HALTED
        assert is_open(disk)
        machine.load(bytes.fromhex("f4"))
        assert is_open(disk) is not own


def test_own_disks_are_closed_even_if_the_machine_cannot_boot(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(sector(*CLI_HLT))
    with Disk(path) as disk, Machine("512K") as machine:
        with pytest.raises(GuestMemoryError):
            machine.boot([disk], own=True)
        assert not is_open(disk)
