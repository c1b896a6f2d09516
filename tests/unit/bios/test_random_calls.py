"""Services called with any registers, by a guest that has written anything into RAM.

PYKVM_FUZZ_BIOS_CALLS says how many calls there are (1000000 for a thorough run).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from pykvm.bios import Registers, SegmentValue
from pykvm.bios.registers import GENERAL
from pykvm.bios.stubs import VECTORS
from pykvm.layout import MIB
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig, make_disk

CALLS = int(os.environ.get("PYKVM_FUZZ_BIOS_CALLS", "6000"))
FUNCTIONS = {
    0x10: 0x20,
    0x13: 0x50,
    0x14: 0x06,
    0x15: 0x100,
    0x16: 0x20,
    0x1A: 0x10,
}
"""How many values of AH are of interest; others are rarer."""

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFF0, 0xFFFF)
RAM = 2 * MIB


def value(rng: random.Random) -> int:
    """A register's, often where something ends."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.getrandbits(64)
    if kind == 1:
        return rng.choice(EDGES) | rng.choice(EDGES) << 16
    return rng.getrandbits(16)


def segment(rng: random.Random) -> SegmentValue:
    """As real mode loads it, or with any base, as after protected mode."""
    selector = rng.choice(EDGES) if rng.random() < 0.3 else rng.getrandbits(16)
    if rng.random() < 0.8:
        return SegmentValue(selector, selector << 4)
    return SegmentValue(selector, rng.getrandbits(rng.choice((16, 20, 32, 64))))


def registers(rng: random.Random, vector: int) -> Registers:
    made = Registers(
        {name: value(rng) for name in GENERAL},
        ds=segment(rng),
        es=segment(rng),
        ss=segment(rng),
    )
    if vector in FUNCTIONS and rng.random() < 0.9:
        made.ah = rng.randrange(FUNCTIONS[vector])
    if vector == 0x13 and rng.random() < 0.8:
        made.dl = rng.choice((0, 0x80, 0x81))
    if vector == 0x15 and rng.random() < 0.3:
        made.ax, made.edx = 0xE820, 0x534D4150
        made.rbx = rng.randrange(7)
    return made


def test_any_call_returns_and_stays_in_ram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = [
        make_disk(tmp_path, 2880, name="floppy"),
        make_disk(tmp_path, 2000, name="hard"),
        make_disk(tmp_path, 200, name="readonly", readonly=True),
    ]
    rig = Rig(*disks, ram=RAM)
    # kept output would be the one thing here that grows
    monkeypatch.setattr(rig.teletype, "write", lambda data: None)
    monkeypatch.setattr(rig.serial_out, "write", lambda data: None)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown when something raises
    rng = random.Random(seed)
    for turn in range(CALLS):
        vector = rng.choice(VECTORS)
        called = registers(rng, vector)
        before = [getattr(called, name) for name in GENERAL]
        cs, ss, ds = called.cs, called.ss, called.ds
        if turn % 50 == 0:
            gpa = rng.choice((0x400, 0xB8000, rng.randrange(RAM - 0x200)))
            rig.memory.write(Gpa(gpa), rng.randbytes(0x200))
            rig.now += rng.randrange(1 << 32)
            rig.bios.keyboard.type(rng.randbytes(20))
            rig.uart.receive(rng.randbytes(3))
        rig.bios.interrupt(vector, called)
        why = f"seed {seed}, call {turn}: INT {vector:02X}h with {before}"
        assert all(0 <= getattr(called, name) < 1 << 64 for name in GENERAL), why
        assert (called.rsp, called.cs, called.ss, called.ds) == (before[7], cs, ss, ds), why
        assert (called.rflags ^ before[8]) & ~1 == 0, why
        if called.es_changed:
            assert called.es.base == called.es.selector << 4, why
    rig.bios.frame().text()
    sizes = [os.path.getsize(disk.path) for disk in disks]
    assert sizes == [2880 * 512, 2000 * 512, 200 * 512]
    rig.close()
    for disk in disks:
        disk.close()


def test_calls_that_wait_change_nothing_else(rig: Rig) -> None:
    """A stub traps again with the same registers: a service that signals has left them."""
    rng = random.Random(1)
    for vector, ah in ((0x16, 0x00), (0x16, 0x10), (0x15, 0x86), (0x14, 0x02)):
        called = registers(rng, vector)
        called.ah, called.ss, called.rsp, called.dx = ah, SegmentValue(0, 0), 0x6000, 0
        called.cx = 0x10
        rig.memory.write(Gpa(0x6000), rng.randbytes(16))
        before = [getattr(called, name) for name in GENERAL[:-1]], rig.memory.read(Gpa(0x6000), 16)
        rig.bios.interrupt(vector, called)
        after = [getattr(called, name) for name in GENERAL[:-1]], rig.memory.read(Gpa(0x6000), 16)
        assert called.rflags & 1
        assert before == after
