"""In-kernel interrupt controllers: their state, lines, messages and routes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm import (
    Chip,
    IrqChip,
    IrqchipRoute,
    IrqFd,
    MsiRoute,
    Pit,
    SplitIrqChip,
    System,
    Vcpu,
    Vm,
    irq_line,
    set_gsi_routing,
    signal_msi,
)
from pykvm.kvm.exits import Io, IoapicEoi
from pykvm.kvm.probes.bench import HANDLER, HANDLER_2, Entry, Guest
from tests.support.waiting import eventually

Make = Callable[..., Guest]

LAPIC = 0xFEE00000
SPURIOUS_VECTOR_REGISTER = 0xF0
LOW, HIGH = 0x40, 0x51
"""Two vectors; the second has priority over the first, so that no EOI is needed between."""

WAIT = bytes.fromhex(
    "fb"  # sti
    "f4"  # hlt
    "eb fd"  # jmp to the hlt
)


def handler(port: int) -> bytes:
    """Tells that it was called, and waits for what has a higher priority."""
    return bytes([0xE6, port]) + WAIT  # out port, al


@pytest.fixture
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    yield fd
    os.close(fd)


@pytest.fixture
def vm(system: System) -> Iterator[Vm]:
    with Vm(system) as made:
        yield made


def waiting_guest(make_guest: Make, prepare: Callable[[Vm], object]) -> Guest:
    """A guest in HLT whose handlers for LOW and HIGH write ports 0x11 and 0x12."""
    guest: Guest = make_guest(Entry.LONG, WAIT, prepare=prepare)
    guest.put(HANDLER, handler(0x11))
    guest.put(HANDLER_2, handler(0x12))
    guest.gate(LOW, HANDLER)
    guest.gate(HIGH, HANDLER_2)
    registers = bytearray(guest.vcpu.get_lapic())
    registers[SPURIOUS_VECTOR_REGISTER : SPURIOUS_VECTOR_REGISTER + 2] = b"\xff\x01"  # enabled
    guest.vcpu.set_lapic(bytes(registers))
    return guest


def port_written(guest: Guest) -> int:
    """The port of the next exit."""
    exit = guest.run()
    assert isinstance(exit, Io)
    assert exit.is_write
    return exit.port


def test_pics_keep_what_is_set(vm: Vm) -> None:
    chip = IrqChip(vm)
    for which, base in ((Chip.PIC_MASTER, 0x20), (Chip.PIC_SLAVE, 0x28)):
        state = replace(chip.get_pic(which), irq_base=base, imr=0xFB, elcr=0x20)
        chip.set_pic(which, state)
        assert chip.get_pic(which) == state
    assert chip.get_pic(Chip.PIC_MASTER).irq_base == 0x20


def test_the_ioapic_keeps_what_is_set(vm: Vm) -> None:
    chip = IrqChip(vm)
    state = chip.get_ioapic()
    assert state.base_address == 0xFEC00000
    assert len(state.redirection) == 24
    table = [*state.redirection]
    table[4] = 0x01000000_00010031
    state = replace(state, id=5, ioregsel=0x18, redirection=tuple(table))
    chip.set_ioapic(state)
    assert chip.get_ioapic() == state
    with pytest.raises(ValueError, match=r"shorter|longer"):
        chip.set_ioapic(replace(state, redirection=(0,)))


def test_the_pit_keeps_what_is_set(vm: Vm) -> None:
    pit = Pit(IrqChip(vm))
    state = pit.get_state()
    channels = [*state.channels]
    channels[2] = replace(channels[2], count=0x1234, mode=3, rw_mode=3, gate=1)
    pit.set_state(replace(state, channels=tuple(channels)))
    got = pit.get_state().channels[2]
    assert (got.count, got.mode, got.rw_mode, got.gate) == (0x1234, 3, 3, 1)


@pytest.mark.parametrize(("speaker", "port"), [(True, 0x10), (False, 0x61)])
def test_the_pit_claims_the_speaker_s_port_if_told(
    make_guest: Make, speaker: bool, port: int
) -> None:
    code = bytes.fromhex(
        "e4 61"  # in al, 0x61
        "e6 10"  # out 0x10, al
    )
    guest = make_guest(Entry.REAL, code, prepare=lambda vm: Pit(IrqChip(vm), speaker=speaker))
    exit = guest.run()
    assert isinstance(exit, Io)
    assert exit.port == port


def test_the_pics_claim_their_edge_level_registers(make_guest: Make) -> None:
    chips: list[IrqChip] = []
    code = bytes.fromhex(
        "ba d1 04"  # mov dx, 0x4d1
        "b0 02"  # mov al, 2
        "ee"  # out dx, al
        "e6 10"  # out 0x10, al
    )
    guest = make_guest(Entry.REAL, code, prepare=lambda vm: chips.append(IrqChip(vm)))
    exit = guest.run()
    assert isinstance(exit, Io)
    assert exit.port == 0x10
    assert chips[0].get_pic(Chip.PIC_SLAVE).elcr == 2


def test_one_vm_has_one_irqchip(vm: Vm) -> None:
    IrqChip(vm)
    for make in (IrqChip, SplitIrqChip):
        with pytest.raises(KvmIoctlError) as caught:
            make(vm)
        assert caught.value.errno == errno.EEXIST


def test_an_irqchip_comes_before_the_first_vcpu(vm: Vm) -> None:
    with Vcpu(vm, 0), pytest.raises(KvmIoctlError) as caught:
        IrqChip(vm)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_CREATE_IRQCHIP", errno.EINVAL)


def test_a_line_sets_the_pic_s_request(vm: Vm) -> None:
    """IRQ 5 is pin 5 of the master, IRQ 12 pin 4 of the slave."""
    chip = IrqChip(vm)
    for gsi, which, bit in ((5, Chip.PIC_MASTER, 5), (12, Chip.PIC_SLAVE, 4)):
        irq_line(vm, gsi, True)
        assert chip.get_pic(which).irr == 1 << bit
        assert chip.get_pic(which).last_irr == 1 << bit
        irq_line(vm, gsi, False)
        assert chip.get_pic(which).last_irr == 0


def test_a_line_without_irqchip(vm: Vm) -> None:
    with pytest.raises(KvmIoctlError) as caught:
        irq_line(vm, 5, True)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_IRQ_LINE", errno.ENXIO)


def test_a_route_moves_a_line_to_another_pin(vm: Vm) -> None:
    chip = IrqChip(vm)
    set_gsi_routing(vm, [IrqchipRoute(5, Chip.PIC_MASTER, 6), IrqchipRoute(5, Chip.IOAPIC, 7)])
    irq_line(vm, 5, True)
    assert chip.get_pic(Chip.PIC_MASTER).irr == 1 << 6
    with pytest.raises(KvmIoctlError) as caught:
        set_gsi_routing(vm, [IrqchipRoute(5, Chip.PIC_MASTER, 99)])
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_SET_GSI_ROUTING", errno.EINVAL)


@pytest.mark.needs("msi")
@pytest.mark.parametrize("prepare", [IrqChip, SplitIrqChip])
def test_messages_reach_their_vectors(make_guest: Make, prepare: Callable[[Vm], object]) -> None:
    guest = waiting_guest(make_guest, prepare)
    assert signal_msi(guest.vm, LAPIC, LOW)
    assert port_written(guest) == 0x11
    assert signal_msi(guest.vm, LAPIC, HIGH)
    assert port_written(guest) == 0x12


@pytest.mark.needs("irqfd")
def test_eventfds_interrupt_by_their_routes(make_guest: Make, eventfd: int) -> None:
    guest = waiting_guest(make_guest, SplitIrqChip)
    set_gsi_routing(guest.vm, [MsiRoute(30, LAPIC, LOW), MsiRoute(31, LAPIC, HIGH)])
    with IrqFd(guest.vm, eventfd, 30):
        os.eventfd_write(eventfd, 1)
        assert port_written(guest) == 0x11
    with IrqFd(guest.vm, eventfd, 31):
        os.eventfd_write(eventfd, 1)
        assert port_written(guest) == 0x12


def test_a_closed_irqfd_does_nothing(vm: Vm, eventfd: int) -> None:
    chip = IrqChip(vm)
    irqfd = IrqFd(vm, eventfd, 5)
    irqfd.close()
    irqfd.close()
    os.eventfd_write(eventfd, 1)
    assert chip.get_pic(Chip.PIC_MASTER).irr == 0
    assert os.eventfd_read(eventfd) == 1
    with IrqFd(vm, eventfd, 5):
        os.eventfd_write(eventfd, 1)
        # a worker thread of the kernel's raises it
        assert eventually(lambda: chip.get_pic(Chip.PIC_MASTER).irr == 1 << 5)


def test_an_irqfd_needs_an_irqchip(vm: Vm, eventfd: int) -> None:
    with pytest.raises(KvmIoctlError) as caught:
        IrqFd(vm, eventfd, 5)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_IRQFD", errno.EINVAL)


def test_one_eventfd_for_one_interrupt(vm: Vm, eventfd: int) -> None:
    IrqChip(vm)
    with IrqFd(vm, eventfd, 5), pytest.raises(KvmIoctlError) as caught:
        IrqFd(vm, eventfd, 6)
    assert caught.value.errno == errno.EBUSY


def test_closing_after_the_vm_is_no_error(system: System, eventfd: int) -> None:
    with Vm(system) as vm:
        IrqChip(vm)
        irqfd = IrqFd(vm, eventfd, 5)
    irqfd.close()


END_OF_INTERRUPT = bytes.fromhex(
    "b9 0b 08 00 00"  # mov ecx, 0x80b (x2APIC's EOI register)
    "31 c0"  # xor eax, eax
    "31 d2"  # xor edx, edx
    "0f 30"  # wrmsr
    "e6 13"  # out 0x13, al
)
LEVEL = 1 << 15
REMOTE_IRR = 1 << 14


def end_interrupt(guest: Guest) -> None:
    """Have the guest go on with the end of the interrupt, in x2APIC mode."""
    sregs = guest.vcpu.get_sregs()
    sregs.apic_base |= 0x400
    guest.vcpu.set_sregs(sregs)
    guest.put(HANDLER_2, END_OF_INTERRUPT)
    guest.vcpu.page.immediate_exit = True
    guest.vcpu.run()  # completes the OUT, which would else move RIP on
    guest.vcpu.page.immediate_exit = False
    guest.jump(HANDLER_2)


@pytest.mark.needs("irqfd")
@pytest.mark.parametrize(
    "held",
    [
        False,
        pytest.param(True, marks=pytest.mark.needs("in_service"), id="and held till then"),
    ],
)
def test_a_level_interrupt_is_resampled_at_its_end(
    make_guest: Make, eventfd: int, held: bool
) -> None:
    """The second eventfd tells of the guest's EOI; the line stays asserted till then."""
    chips: list[IrqChip] = []
    guest = waiting_guest(make_guest, lambda vm: chips.append(IrqChip(vm)))
    state = chips[0].get_ioapic()
    table = [*state.redirection]
    table[10] = LEVEL | LOW
    chips[0].set_ioapic(replace(state, redirection=tuple(table)))
    set_gsi_routing(guest.vm, [IrqchipRoute(10, Chip.IOAPIC, 10)])  # and not to the PIC
    ended = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        with IrqFd(guest.vm, eventfd, 10, ended):
            os.eventfd_write(eventfd, 1)
            assert port_written(guest) == 0x11
            if held:
                assert chips[0].get_ioapic().redirection[10] & REMOTE_IRR
                with pytest.raises(BlockingIOError):
                    os.eventfd_read(ended)
            end_interrupt(guest)
            assert port_written(guest) == 0x13
            assert os.eventfd_read(ended) == 1
            assert not chips[0].get_ioapic().redirection[10] & REMOTE_IRR
    finally:
        os.close(ended)


@pytest.mark.needs("split_irqchip")
def test_the_host_s_ioapic_hears_of_the_end(make_guest: Make) -> None:
    """On a split irqchip, the EOI of a level-triggered route below `pins` exits."""
    guest = waiting_guest(make_guest, SplitIrqChip)
    set_gsi_routing(guest.vm, [MsiRoute(3, LAPIC, LEVEL | LOW)])
    assert signal_msi(guest.vm, LAPIC, LEVEL | LOW)
    assert port_written(guest) == 0x11
    end_interrupt(guest)
    assert guest.run() == IoapicEoi(LOW)
    assert port_written(guest) == 0x13
