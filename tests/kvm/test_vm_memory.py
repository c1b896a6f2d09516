"""Memory slots and dirty logs, as the guest sees them."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable

import pytest

from pykvm._shim import ffi
from pykvm.errors import KvmIoctlError
from pykvm.kvm import Capability, MemoryFlag, System, Vm, dirty_pages
from pykvm.kvm.exits import Hlt, Mmio
from pykvm.kvm.probes.bench import CODE, RAM_SIZE, Entry, Guest

Make = Callable[..., Guest]

HOLE = 0x100000
"""Where the bench has no RAM."""

STORE_AND_LOAD = bytes.fromhex(
    "a3 00 00 10 00"  # mov [0x100000], eax
    "a1 00 10 10 00"  # mov eax, [0x101000]
    "f4"  # hlt
)

STORE_1000_TIMES = bytes.fromhex(
    "aa"  # stosb
    "81 c7 ff 0f 00 00"  # add edi, 0xfff
    "e2 f7"  # loop the stosb
    "f4"  # hlt
)


def start(guest: Guest, **registers: int) -> None:
    """Set registers; the code is entered anew."""
    regs = guest.vcpu.get_regs()
    regs.rip = CODE
    for name, value in registers.items():
        setattr(regs, name, value)
    guest.vcpu.set_regs(regs)


def test_a_slot_is_added_moved_and_deleted(make_guest: Make) -> None:
    guest = make_guest(Entry.PROTECTED, STORE_AND_LOAD)
    start(guest, rax=0x11223344)
    assert guest.run() == Mmio(HOLE, 4, True, b"\x44\x33\x22\x11")

    guest.vm.set_memory_slot(1, HOLE, 0x2000, guest.host_address + 0x20000)
    guest.word(0x21000, 0x55667788, 4)
    start(guest, rax=0x11223344)
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax == 0x55667788
    assert guest.get(0x20000, 4) == b"\x44\x33\x22\x11"

    guest.vm.set_memory_slot(1, HOLE + 0x1000, 0x2000, guest.host_address + 0x20000)
    start(guest, rax=1)
    assert guest.run() == Mmio(HOLE, 4, True, b"\x01\0\0\0")
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax == 0x11223344

    guest.vm.delete_memory_slot(1)
    start(guest, rax=2)
    assert guest.run() == Mmio(HOLE, 4, True, b"\x02\0\0\0")
    assert guest.run() == Mmio(HOLE + 0x1000, 4, False, b"")


def test_a_slot_is_made_read_only_and_writable_again(make_guest: Make) -> None:
    guest = make_guest(Entry.PROTECTED, STORE_AND_LOAD)
    host = guest.host_address + 0x20000
    guest.vm.set_memory_slot(1, HOLE, 0x2000, host, MemoryFlag.READONLY)
    guest.word(0x21000, 7, 4)
    start(guest, rax=9)
    assert guest.run() == Mmio(HOLE, 4, True, b"\x09\0\0\0")
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax == 7
    assert guest.get(0x20000, 4) == bytes(4)

    # KVM refuses to change this flag in place
    with pytest.raises(KvmIoctlError) as caught:
        guest.vm.set_memory_slot(1, HOLE, 0x2000, host)
    assert caught.value.errno == errno.EINVAL
    guest.vm.delete_memory_slot(1)
    guest.vm.set_memory_slot(1, HOLE, 0x2000, host)
    start(guest, rax=9)
    assert guest.run() == Hlt()
    assert guest.get(0x20000, 4) == b"\x09\0\0\0"


@pytest.mark.parametrize(
    ("slot", "gpa", "size", "number"),
    [
        (1, HOLE + 1, 0x1000, errno.EINVAL),
        (1, HOLE, 0x1001, errno.EINVAL),
        (1, 0x1000, 0x1000, errno.EEXIST),
        (1, (1 << 64) - 0x1000, 0x2000, errno.EINVAL),
    ],
)
def test_slots_that_cannot_be(
    make_guest: Make, slot: int, gpa: int, size: int, number: int
) -> None:
    guest = make_guest(Entry.REAL, b"")
    with pytest.raises(KvmIoctlError) as caught:
        guest.vm.set_memory_slot(slot, gpa, size, guest.host_address)
    assert caught.value.errno == number


def test_an_empty_slot_is_not_a_deletion(system: System) -> None:
    with Vm(system) as vm, pytest.raises(ValueError, match="delete_memory_slot"):
        vm.set_memory_slot(0, 0, 0, 0)


def test_the_dirty_log_has_every_page_written(make_guest: Make) -> None:
    """10 pages from 0x10000 on, one byte each; KVM may count the code's page, too."""
    guest = make_guest(Entry.PROTECTED, STORE_1000_TIMES, slot_flags=MemoryFlag.LOG_DIRTY_PAGES)
    guest.vm.get_dirty_log(0, RAM_SIZE)
    start(guest, rdi=0x10000, rcx=10)
    assert guest.run() == Hlt()
    log = guest.vm.get_dirty_log(0, RAM_SIZE)
    assert len(log) == RAM_SIZE // 4096 // 8
    written = dirty_pages(log)
    assert written >= set(range(0x10, 0x1A))
    assert written - set(range(0x10, 0x1A)) <= {0, 1, 2, 3}
    assert not dirty_pages(guest.vm.get_dirty_log(0, RAM_SIZE)) & set(range(0x10, 0x1A))


def test_a_slot_that_does_not_log(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, b"")
    with pytest.raises(KvmIoctlError) as caught:
        guest.vm.get_dirty_log(0, RAM_SIZE)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_GET_DIRTY_LOG", errno.ENOENT)


def test_only_cleared_pages_become_clean(make_guest: Make) -> None:
    guest = make_guest(
        Entry.PROTECTED,
        STORE_1000_TIMES,
        slot_flags=MemoryFlag.LOG_DIRTY_PAGES,
        prepare=lambda vm: vm.enable_cap(Capability.MANUAL_DIRTY_LOG_PROTECT2, 1),
    )
    start(guest, rdi=0x10000, rcx=4)
    assert guest.run() == Hlt()
    pages = dirty_pages(guest.vm.get_dirty_log(0, RAM_SIZE))
    assert pages >= {0x10, 0x11, 0x12, 0x13}
    bitmap = bytearray(8)
    bitmap[2] = 0b0101  # pages 0x10 and 0x12
    guest.vm.clear_dirty_log(0, 0, 64, bytes(bitmap))
    left = dirty_pages(guest.vm.get_dirty_log(0, RAM_SIZE))
    assert left == pages - {0x10, 0x12}
    with pytest.raises(ValueError, match="a bitmap of 1 bytes for 64 pages"):
        guest.vm.clear_dirty_log(0, 0, 64, b"\0")
    with pytest.raises(KvmIoctlError):
        guest.vm.clear_dirty_log(0, 1, 63, bytes(8))


def test_clearing_begins_at_the_first_page_named(make_guest: Make) -> None:
    """A slot of 128 pages; page 63 and page 64 are written, page 64 is cleared."""
    guest = make_guest(Entry.PROTECTED, STORE_1000_TIMES)
    with mmap.mmap(-1, 128 * 4096) as ram:
        window = ffi.from_buffer(ram)
        host = int(ffi.cast("uintptr_t", window))
        guest.vm.set_memory_slot(1, HOLE, len(ram), host, MemoryFlag.LOG_DIRTY_PAGES)
        start(guest, rdi=HOLE + 63 * 4096, rcx=2)
        assert guest.run() == Hlt()
        guest.vm.enable_cap(Capability.MANUAL_DIRTY_LOG_PROTECT2, 1)
        assert dirty_pages(guest.vm.get_dirty_log(1, len(ram))) == {63, 64}
        guest.vm.clear_dirty_log(1, 64, 64, b"\x01" + bytes(7))
        assert dirty_pages(guest.vm.get_dirty_log(1, len(ram))) == {63}
        guest.vm.delete_memory_slot(1)
        ffi.release(window)


def test_addresses_that_intel_processors_need(system: System) -> None:
    with Vm(system) as vm:
        vm.set_identity_map_address(0xFFFBC000)
        vm.set_tss_address(0xFFFBD000)
        with pytest.raises(KvmIoctlError):
            vm.set_tss_address(0xFFFFFFFF)


def test_the_clock_is_set_and_goes_on(system: System) -> None:
    with Vm(system) as vm:
        vm.set_clock(10**15)
        first = vm.get_clock()
        assert 10**15 <= first < 10**15 + 60 * 10**9
        assert vm.get_clock() >= first


def test_capabilities_are_enabled_by_number(system: System) -> None:
    with Vm(system) as vm:
        vm.enable_cap(Capability.EXCEPTION_PAYLOAD, 1)
        with pytest.raises(KvmIoctlError) as caught:
            vm.enable_cap(99999)
        assert (caught.value.ioctl, caught.value.errno) == ("KVM_ENABLE_CAP", errno.EINVAL)


def test_the_tsc_frequency_of_vcpus_to_come(system: System) -> None:
    """Kernels before 5.18 know it for vCPUs only."""
    with Vm(system) as vm:
        if not knows_its_tsc(vm):
            return
        khz = vm.get_tsc_khz()
        vm.set_tsc_khz(khz - 1)
        assert vm.get_tsc_khz() == khz - 1


def knows_its_tsc(vm: Vm) -> bool:
    """Newer kernels take the ioctl even where they deny the capability."""
    try:
        vm.get_tsc_khz()
    except KvmIoctlError as error:
        return error.errno != errno.ENOTTY
    return True
