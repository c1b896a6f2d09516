"""Probes: memory slots, MMIO, string I/O and what needs no exit."""

from __future__ import annotations

import os
from contextlib import ExitStack

from pykvm.kvm.capabilities import Capability
from pykvm.kvm.coalesced import CoalescedZone
from pykvm.kvm.eventfd import IoEventFd
from pykvm.kvm.exits import Hlt, Io, Mmio
from pykvm.kvm.memory_flags import MemoryFlag
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import (
    CODE,
    DATA,
    RAM_SIZE,
    Entry,
    Failed,
    Guest,
    code,
    describe,
    expect,
)
from pykvm.kvm.system import System
from pykvm.kvm.vm import dirty_pages
from pykvm.x86 import PAGE_SIZE

_HOLE = 0x10000000
_LETTERS = b"abcdefghijklmnopqrst"
_SECOND_WRITE = CODE + 5
_WRITTEN = {5, 7}

_MMIO = code(
    "c7 05 00 00 00 10 44 33 22 11",  # mov dword ptr [0x10000000], 0x11223344
    "a1 04 00 00 10",  # mov eax, dword ptr [0x10000004]
    "f4",  # hlt
)
_OUTSB = code(
    "be 00 70",  # mov si, 0x7000
    "b9 14 00",  # mov cx, 20
    "ba f8 03",  # mov dx, 0x3f8
    "fc",  # cld
    "f3 6e",  # rep outsb
    "f4",  # hlt
)
_INSB = code(
    "bf 00 70",  # mov di, 0x7000
    "b9 14 00",  # mov cx, 20
    "ba f8 03",  # mov dx, 0x3f8
    "fc",  # cld
    "f3 6c",  # rep insb
    "f4",  # hlt
)
_WRITE_TWO_PAGES = code(
    "c6 06 00 50 01",  # mov byte ptr [0x5000], 1
    "c6 06 00 70 01",  # mov byte ptr [0x7000], 1
    "f4",  # hlt
)
_WRITE_AND_READ = code(
    "c6 06 00 70 42",  # mov byte ptr [0x7000], 0x42
    "a0 00 70",  # mov al, byte ptr [0x7000]
    "f4",  # hlt
)
_TEN_OUTS = code(
    "b9 0a 00",  # mov cx, 10
    "b0 41",  # mov al, 0x41
    "e6 10",  # out 0x10, al
    "fe c0",  # inc al
    "e2 fa",  # loop 1b
    "f4",  # hlt
)
_TWO_STORES = code(
    "c7 05 00 00 00 10 03 00 00 00",  # mov dword ptr [0x10000000], 3
    "c7 05 00 00 00 10 04 00 00 00",  # mov dword ptr [0x10000000], 4
    "f4",  # hlt
)
_OUT = code(
    "e6 10",  # out 0x10, al
    "f4",  # hlt
)


@probe("MMIO reads and writes")
def mmio(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.PROTECTED, _MMIO)
    expect(guest.run(), Mmio(_HOLE, 4, True, b"\x44\x33\x22\x11"), "the first exit")
    expect(guest.run(), Mmio(_HOLE + 4, 4, False, b""), "the second exit")
    guest.vcpu.page.reply_mmio(b"\x88\x77\x66\x55")
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rax, 0x55667788, "EAX")
    return "MOV to and from a hole in memory"


@probe("REP OUTSB")
def rep_outs(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _OUTSB)
    guest.put(DATA, _LETTERS)
    got, exits = b"", 0
    while len(got) < len(_LETTERS):
        exit = guest.run_to(Io)
        assert isinstance(exit, Io)
        expect((exit.port, exit.size, exit.is_write), (0x3F8, 1, True), "the access")
        got += exit.data
        exits += 1
    guest.run_to(Hlt)
    expect(got, _LETTERS, "what came out")
    return f"{len(_LETTERS)} bytes in {exits} exits"


@probe("REP INSB")
def rep_ins(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _INSB)
    given = exits = 0
    while given < len(_LETTERS):
        exit = guest.run_to(Io)
        assert isinstance(exit, Io)
        expect((exit.port, exit.size, exit.is_write), (0x3F8, 1, False), "the access")
        guest.vcpu.page.reply_io(_LETTERS[given : given + exit.count])
        given += exit.count
        exits += 1
    guest.run_to(Hlt)
    expect(guest.get(DATA, len(_LETTERS)), _LETTERS, "what came in")
    return f"{len(_LETTERS)} bytes in {exits} exits"


@probe("dirty log")
def dirty_log(stack: ExitStack, system: System) -> str:
    flags = MemoryFlag.LOG_DIRTY_PAGES
    guest = Guest(stack, system, Entry.REAL, _WRITE_TWO_PAGES, slot_flags=flags)
    logs = []
    guest.run_to(Hlt)
    logs.append(_dirty(guest))
    logs.append(_dirty(guest))
    guest.jump(_SECOND_WRITE)
    guest.run_to(Hlt)
    logs.append(_dirty(guest))
    expect([log & _WRITTEN for log in logs], [_WRITTEN, set(), {7}], "pages 5 and 7 in three logs")
    return "each log has the pages written since the last"


@probe("dirty log with clearing by hand")
def dirty_log_clear(stack: ExitStack, system: System) -> str:
    system.require(Capability.MANUAL_DIRTY_LOG_PROTECT2)
    flags = MemoryFlag.LOG_DIRTY_PAGES
    guest = Guest(
        stack,
        system,
        Entry.REAL,
        _WRITE_TWO_PAGES,
        slot_flags=flags,
        prepare=lambda vm: vm.enable_cap(Capability.MANUAL_DIRTY_LOG_PROTECT2, 1),
    )
    guest.run_to(Hlt)
    logs = [_dirty(guest), _dirty(guest)]
    pages = RAM_SIZE // PAGE_SIZE
    guest.vm.clear_dirty_log(0, 0, pages, guest.vm.get_dirty_log(0, RAM_SIZE))
    logs.append(_dirty(guest))
    expect([log & _WRITTEN for log in logs], [_WRITTEN, _WRITTEN, set()], "the logs")
    return "pages stay dirty until cleared"


def _dirty(guest: Guest) -> set[int]:
    return dirty_pages(guest.vm.get_dirty_log(0, RAM_SIZE))


@probe("read-only memory slots")
def readonly_slot(stack: ExitStack, system: System) -> str:
    system.require(Capability.READONLY_MEM)
    guest = Guest(stack, system, Entry.REAL, _WRITE_AND_READ, slot_flags=int(MemoryFlag.READONLY))
    guest.put(DATA, b"\x07")
    expect(guest.run(), Mmio(DATA, 1, True, b"\x42"), "the exit")
    guest.run_to(Hlt)
    expect((guest.get(DATA, 1), guest.vcpu.get_regs().rax & 0xFF), (b"\x07", 7), "memory and AL")
    return "a write exits, a read does not"


@probe("removing a memory slot")
def slot_removal(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.PROTECTED, _MMIO)
    guest.vm.set_memory_slot(1, _HOLE, PAGE_SIZE, guest.host_address + 0x20000)
    guest.run_to(Hlt)
    expect(guest.get(0x20000, 4), b"\x44\x33\x22\x11", "what was written")
    guest.vm.delete_memory_slot(1)
    guest.jump(CODE)
    guest.run_to(Mmio)
    return "RAM becomes MMIO"


@probe("coalesced port writes")
def coalesced_pio(stack: ExitStack, system: System) -> str:
    system.require(Capability.COALESCED_PIO)
    guest = Guest(stack, system, Entry.REAL, _TEN_OUTS)
    CoalescedZone(guest.vm, 0x10, 1, pio=True)
    guest.run_to(Hlt)
    writes = [(w.is_mmio, w.address, w.size, w.data) for w in guest.loop.posted_writes()]
    expect(writes, [(False, 0x10, 1, b"ABCDEFGHIJ")], "the ring")
    return "10 writes without an exit"


@probe("coalesced MMIO writes")
def coalesced_mmio(stack: ExitStack, system: System) -> str:
    system.require(Capability.COALESCED_MMIO)
    guest = Guest(stack, system, Entry.PROTECTED, _TWO_STORES)
    CoalescedZone(guest.vm, _HOLE, 4)
    guest.run_to(Hlt)
    writes = [(w.is_mmio, w.address, w.size, w.data) for w in guest.loop.posted_writes()]
    expect(writes, [(True, _HOLE, 4, bytes([3, 0, 0, 0, 4, 0, 0, 0]))], "the ring")
    return "2 writes without an exit"


@probe("ioeventfd on a port")
def ioeventfd(stack: ExitStack, system: System) -> str:
    system.require(Capability.IOEVENTFD)
    guest = Guest(stack, system, Entry.REAL, _OUT)
    fd = _eventfd(stack)
    IoEventFd(guest.vm, fd, 0x10, 1, pio=True)
    guest.run_to(Hlt)
    expect(_count(fd), 1, "the eventfd's count")
    return "OUT writes the eventfd without an exit"


@probe("ioeventfd on MMIO, with a value to match")
def ioeventfd_mmio(stack: ExitStack, system: System) -> str:
    system.require(Capability.IOEVENTFD)
    guest = Guest(stack, system, Entry.PROTECTED, _TWO_STORES)
    fd = _eventfd(stack)
    IoEventFd(guest.vm, fd, _HOLE, 4, datamatch=4)
    expect(guest.run(), Mmio(_HOLE, 4, True, b"\x03\0\0\0"), "the exit for another value")
    exit = guest.run()
    if not isinstance(exit, Hlt):
        raise Failed(f"the value to match: {describe(exit)}")
    expect(_count(fd), 1, "the eventfd's count")
    return "only the value that matches"


def _eventfd(stack: ExitStack) -> int:
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _count(fd: int) -> int:
    """How often an eventfd was written since last asked."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0
