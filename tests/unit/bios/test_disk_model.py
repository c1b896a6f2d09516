"""Random transfers by INT 13h against a bytearray for the disk and one for RAM."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.bios import Disk
from pykvm.layout import MIB
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig

HEADS, TRACK = 16, 63
SECTORS = HEADS * TRACK * 2 + 40
"""Two cylinders, and 40 sectors that only block numbers reach."""
RAM = MIB + 0x10000
PACKET, STACK = 0x500, 0x600
LOWEST, HIGHEST = 0x7000, 0xB7000
"""Buffers begin here, out of the way of vectors, packet, stack and screen; some reach beyond."""


class Transfer(NamedTuple):
    """One call: by packet or by cylinder, head and sector."""

    extended: bool
    write: bool
    lba: int
    sectors: int
    address: int
    shift: int


transfers = st.builds(
    Transfer,
    st.booleans(),
    st.booleans(),
    st.integers(0, SECTORS + 2) | st.integers(SECTORS - 130, SECTORS + 2),
    st.integers(0, 4) | st.integers(0, 255),
    st.integers(LOWEST, HIGHEST) | st.integers(RAM - 0x10200, RAM - 0x400),
    st.integers(0, 0xFFF),
)


def call(rig: Rig, t: Transfer) -> tuple[bool, int]:
    """CF and how many sectors the service says it moved."""
    segment = min((t.address >> 4) - t.shift, 0xFFFF) if t.address >> 4 >= t.shift else 0
    segment = max(segment, (t.address - 0xFFFF + 15) >> 4)
    offset = t.address - (segment << 4)
    function = 3 if t.write else 2
    if t.extended:
        packet = struct.pack("<BBHHHQ", 16, 0, t.sectors, offset, segment, t.lba)
        rig.memory.write(Gpa(PACKET), packet)
        result = rig.call(0x13, ax=(0x40 | function) << 8, dx=0x80, ds=0, si=PACKET, sp=STACK)
        return result.carry, rig.memory.read_uint(Gpa(PACKET + 2), 2)
    track, sector = divmod(t.lba, TRACK)
    cylinder, head = divmod(track, HEADS)
    cx, dx = cylinder << 8 | sector + 1, head << 8 | 0x80
    ax = function << 8 | t.sectors
    result = rig.call(0x13, ax=ax, bx=offset, cx=cx, dx=dx, es=segment, sp=STACK)
    return result.carry, result.r.al


def allowed(t: Transfer) -> bool:
    """What the documents say can be done."""
    if t.extended and t.sectors == 0:
        return True
    in_paragraph = t.address % 16
    if not t.extended and (t.sectors == 0 or t.lba >= HEADS * TRACK * 2):
        return False
    return (
        t.sectors <= (127 if t.extended else 128)
        and in_paragraph + t.sectors * 512 <= 0x10000
        and t.lba + t.sectors <= SECTORS
        and t.address + t.sectors * 512 <= RAM
    )


@settings(max_examples=80)
@given(program=st.lists(transfers, max_size=8))
def test_transfers_move_what_they_say_and_nothing_else(program: list[Transfer]) -> None:
    content = bytearray(b"".join(n.to_bytes(4, "little") * 128 for n in range(SECTORS)))
    with TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder, "disk.img")
        path.write_bytes(content)
        disk = stack.enter_context(Disk(path))
        rig = Rig(disk, ram=RAM)
        stack.callback(rig.close)
        rig.memory.write(Gpa(LOWEST), bytes(i * 7 & 0xFF for i in range(0x20000)))
        for t in program:
            ram = bytearray(rig.memory.read(Gpa(LOWEST), RAM - LOWEST))
            carry, moved = call(rig, t)
            length = t.sectors * 512
            assert carry is not allowed(t)
            assert moved == (0 if carry else t.sectors)
            if not carry:
                at, on_disk = t.address - LOWEST, t.lba * 512
                if t.write:
                    content[on_disk : on_disk + length] = ram[at : at + length]
                else:
                    ram[at : at + length] = content[on_disk : on_disk + length]
            assert rig.memory.read(Gpa(LOWEST), RAM - LOWEST) == ram
            assert path.read_bytes() == content
