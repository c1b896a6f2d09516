"""Doorbells and coalesced writes: what the guest does without an exit."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm import Capability, CoalescedWrite, CoalescedZone, IoEventFd, System, Vm
from pykvm.kvm.coalesced import drain
from pykvm.kvm.exits import Hlt, Io, Mmio
from pykvm.kvm.probes.bench import CODE, Entry, Guest

Make = Callable[..., Guest]
HOLE = 0x10000000

THREE_WIDTHS = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "e7 10"  # out 0x10, ax
    "66 e7 10"  # out 0x10, eax
    "f4"  # hlt
)

TWO_STORES = bytes.fromhex(
    "88 07"  # mov [edi], al
    "89 07"  # mov [edi], eax
    "f4"  # hlt
)

MANY_OUTS = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "40"  # inc ax
    "e2 fb"  # loop the out
    "e6 11"  # out 0x11, al
    "f4"  # hlt
)


@pytest.fixture
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    yield fd
    os.close(fd)


def count(fd: int) -> int:
    """How often an eventfd was written since last asked."""
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


def restart(guest: Guest, **registers: int) -> None:
    """Enter the code anew, with registers."""
    regs = guest.vcpu.get_regs()
    regs.rip = CODE
    for name, value in registers.items():
        setattr(regs, name, value)
    guest.vcpu.set_regs(regs)


def exits(guest: Guest) -> list[object]:
    """All exits till HLT, without it."""
    got: list[object] = []
    while (exit := guest.vcpu.run()) != Hlt():
        got.append(exit)
    return got


@pytest.mark.parametrize(("length", "rung"), [(0, {1, 2, 4}), (1, {1}), (2, {2}), (4, {4})])
def test_a_doorbell_on_a_port_by_length(
    make_guest: Make, eventfd: int, length: int, rung: set[int]
) -> None:
    guest = make_guest(Entry.REAL, THREE_WIDTHS)
    with IoEventFd(guest.vm, eventfd, 0x10, length, pio=True):
        left = exits(guest)
    assert {exit.size for exit in left if isinstance(exit, Io)} == {1, 2, 4} - rung
    assert count(eventfd) == len(rung)


def test_a_doorbell_with_a_value(make_guest: Make, eventfd: int) -> None:
    guest = make_guest(Entry.REAL, THREE_WIDTHS)
    with IoEventFd(guest.vm, eventfd, 0x10, 2, datamatch=0x1234, pio=True):
        restart(guest, rax=0x1234)
        assert len(exits(guest)) == 2
        assert count(eventfd) == 1
        restart(guest, rax=0x1235)
        assert len(exits(guest)) == 3
        assert count(eventfd) == 0


def test_a_doorbell_in_memory(make_guest: Make, eventfd: int) -> None:
    guest = make_guest(Entry.PROTECTED, TWO_STORES)
    with IoEventFd(guest.vm, eventfd, HOLE, 4):
        restart(guest, rdi=HOLE, rax=5)
        assert exits(guest) == [Mmio(HOLE, 1, True, b"\x05")]
        assert count(eventfd) == 1
        restart(guest, rdi=HOLE + 4)
        assert len(exits(guest)) == 2
        assert count(eventfd) == 0


def test_a_doorbell_taken_away(make_guest: Make, eventfd: int) -> None:
    guest = make_guest(Entry.REAL, THREE_WIDTHS)
    doorbell = IoEventFd(guest.vm, eventfd, 0x10, 2, datamatch=7, pio=True)
    doorbell.close()
    doorbell.close()
    restart(guest, rax=7)
    assert len(exits(guest)) == 3
    assert count(eventfd) == 0
    IoEventFd(guest.vm, eventfd, 0x10, 2, datamatch=7, pio=True).close()


def test_doorbells_that_cannot_be(system: System, eventfd: int) -> None:
    with Vm(system) as vm:
        with pytest.raises(KvmIoctlError) as caught:
            IoEventFd(vm, eventfd, 0x10, 3, pio=True)
        assert (caught.value.ioctl, caught.value.errno) == ("KVM_IOEVENTFD", errno.EINVAL)
        with IoEventFd(vm, eventfd, 0x10, 1, pio=True), pytest.raises(KvmIoctlError) as caught:
            IoEventFd(vm, eventfd, 0x10, 1, pio=True)
        assert caught.value.errno == errno.EEXIST


def test_coalesced_port_writes_keep_their_order(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, THREE_WIDTHS)
    guest.vm.require(Capability.COALESCED_PIO)
    restart(guest, rax=0x44332211)
    with CoalescedZone(guest.vm, 0x10, 4, pio=True):
        assert exits(guest) == []
        assert list(drain(guest.vcpu.page.coalesced_ring)) == [
            CoalescedWrite(0x10, b"\x11", True),
            CoalescedWrite(0x10, b"\x11\x22", True),
            CoalescedWrite(0x10, b"\x11\x22\x33\x44", True),
        ]
    restart(guest)
    assert len(exits(guest)) == 3
    assert list(drain(guest.vcpu.page.coalesced_ring)) == []


def test_coalesced_stores(make_guest: Make) -> None:
    guest = make_guest(Entry.PROTECTED, TWO_STORES)
    with CoalescedZone(guest.vm, HOLE, 8):
        restart(guest, rdi=HOLE + 5, rax=0x44332211)
        # four bytes from offset 5 on leave the zone
        assert exits(guest) == [Mmio(HOLE + 5, 4, True, b"\x11\x22\x33\x44")]
        assert list(drain(guest.vcpu.page.coalesced_ring)) == [
            CoalescedWrite(HOLE + 5, b"\x11", False)
        ]


def test_a_full_ring_exits_and_loses_nothing(make_guest: Make) -> None:
    """400 writes through a ring of 170: each exit comes after what the ring holds."""
    guest = make_guest(Entry.REAL, MANY_OUTS)
    restart(guest, rcx=400, rax=0)
    got: list[int] = []
    with CoalescedZone(guest.vm, 0x10, 1, pio=True):
        while (exit := guest.vcpu.run()) != Hlt():
            assert isinstance(exit, Io)
            got += [write.data[0] for write in drain(guest.vcpu.page.coalesced_ring)]
            if exit.port == 0x10:
                got.append(exit.data[0])
    assert got == [n & 0xFF for n in range(400)]


def test_closing_a_zone_after_its_vm(system: System) -> None:
    with Vm(system) as vm:
        zone = CoalescedZone(vm, HOLE, 4)
    zone.close()
    with pytest.raises(KvmIoctlError) as caught:
        CoalescedZone(vm, HOLE, 4)
    assert (caught.value.ioctl, caught.value.errno) == (
        "KVM_REGISTER_COALESCED_MMIO",
        errno.EBADF,
    )
