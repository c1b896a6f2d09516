"""KVM_RUN: the exits it comes back with, the answers it takes, and what interrupts it."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm import Capability, IrqChip, System, Vcpu, Vm
from pykvm.kvm.exits import (
    Hlt,
    Intr,
    Io,
    IrqWindowOpen,
    Mmio,
    Rdmsr,
    Wrmsr,
)
from pykvm.kvm.probes.bench import CODE, HANDLER, Entry, Guest

Make = Callable[..., Guest]

OUT_IN = bytes.fromhex(
    "e7 10"  # out 0x10, ax
    "e5 12"  # in ax, 0x12
    "f4"  # hlt
)

OUT_IN_32 = bytes.fromhex(
    "a3 00 00 10 00"  # mov [0x100000], eax
    "8b 1d 04 00 10 00"  # mov ebx, [0x100004]
    "f4"  # hlt
)

SPIN = bytes.fromhex("eb fe")  # jmp $

ENABLE_AND_SPIN = bytes.fromhex(
    "fb"  # sti
    "eb fe"  # jmp $
)

HALT_IN_HANDLER = bytes.fromhex(
    "b0 77"  # mov al, 0x77
    "f4"  # hlt
)

MSR_TWICE = bytes.fromhex(
    "0f 30"  # wrmsr
    "0f 32"  # rdmsr
    "f4"  # hlt
)


def with_registers(guest: Guest, **values: int) -> Guest:
    """Set general registers."""
    regs = guest.vcpu.get_regs()
    for name, value in values.items():
        setattr(regs, name, value)
    guest.vcpu.set_regs(regs)
    return guest


def test_port_exits_and_their_answer(make_guest: Make) -> None:
    guest = with_registers(make_guest(Entry.REAL, OUT_IN), rax=0x1234)
    vcpu = guest.vcpu
    assert vcpu.run() == Io(0x10, 2, 1, True, b"\x34\x12")
    with pytest.raises(ValueError, match="not a read"):
        vcpu.page.reply_io(b"ab")
    assert vcpu.run() == vcpu.last_exit() == Io(0x12, 2, 1, False, b"")
    with pytest.raises(ValueError, match="takes 2 bytes, not 1"):
        vcpu.page.reply_io(b"a")
    with pytest.raises(ValueError, match="KVM_EXIT_MMIO"):
        vcpu.page.reply_mmio(b"ab")
    vcpu.page.reply_io(b"\xcd\xab")
    assert vcpu.run() == Hlt()
    assert vcpu.get_regs().rax & 0xFFFF == 0xABCD


def test_mmio_exits_and_their_answer(make_guest: Make) -> None:
    guest = with_registers(make_guest(Entry.PROTECTED, OUT_IN_32), rax=0x11223344)
    vcpu = guest.vcpu
    assert vcpu.run() == Mmio(0x100000, 4, True, b"\x44\x33\x22\x11")
    assert vcpu.run() == Mmio(0x100004, 4, False, b"")
    with pytest.raises(ValueError, match="KVM_EXIT_IO"):
        vcpu.page.reply_io(b"abcd")
    vcpu.page.reply_mmio(b"\x01\x02\x03\x04")
    assert vcpu.run() == Hlt()
    assert vcpu.get_regs().rbx == 0x04030201


def test_msr_exits_and_their_answers(make_guest: Make) -> None:
    guest = make_guest(
        Entry.LONG,
        MSR_TWICE,
        prepare=lambda vm: vm.enable_cap(Capability.X86_USER_SPACE_MSR, 2),
    )
    with_registers(guest, rcx=0x12345, rax=0x55667788, rdx=0x11223344)
    vcpu = guest.vcpu
    assert vcpu.run() == Wrmsr(0x12345, 0x1122334455667788, 2)
    with pytest.raises(ValueError, match="KVM_EXIT_HYPERCALL"):
        vcpu.page.reply_hypercall(0)
    vcpu.page.reply_msr()
    assert vcpu.run() == Rdmsr(0x12345, 2)
    vcpu.page.reply_msr(0xAABBCCDD_11223344)
    assert vcpu.run() == Hlt()
    regs = vcpu.get_regs()
    assert (regs.rdx, regs.rax) == (0xAABBCCDD, 0x11223344)


def test_an_msr_refused_is_a_general_protection_fault(make_guest: Make) -> None:
    guest = make_guest(
        Entry.LONG,
        MSR_TWICE,
        prepare=lambda vm: vm.enable_cap(Capability.X86_USER_SPACE_MSR, 2),
    )
    guest.put(HANDLER, HALT_IN_HANDLER)
    guest.gate(13, HANDLER)
    with_registers(guest, rcx=0x12345)
    assert isinstance(guest.run(), Wrmsr)
    guest.vcpu.page.reply_msr(fault=True)
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax & 0xFF == 0x77


VMMCALL = bytes.fromhex(
    "0f 01 d9"  # vmmcall
    "f4"  # hlt
)
VMCALL = bytes.fromhex(
    "0f 01 c1"  # vmcall
    "f4"  # hlt
)
MAP_GPA_RANGE = 12


@pytest.mark.needs("vmmcall")
@pytest.mark.parametrize("text", [VMMCALL, VMCALL], ids=["vmmcall", "vmcall"])
def test_hypercalls_and_their_answer(make_guest: Make, text: bytes) -> None:
    """KVM_HC_MAP_GPA_RANGE is the one that KVM_CAP_EXIT_HYPERCALL can give away."""
    guest = make_guest(
        Entry.LONG,
        text,
        prepare=lambda vm: vm.enable_cap(Capability.EXIT_HYPERCALL, 1 << MAP_GPA_RANGE),
    )
    with_registers(guest, rax=MAP_GPA_RANGE, rbx=0x3000, rcx=2, rdx=0)
    exit = guest.run()
    assert (exit.number, exit.args[:3]) == (MAP_GPA_RANGE, (0x3000, 2, 0))  # type: ignore[attr-defined]
    guest.vcpu.page.reply_hypercall(0x1234)
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax == 0x1234


def test_immediate_exit_completes_the_access_and_runs_nothing(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, OUT_IN)
    vcpu = guest.vcpu
    assert isinstance(vcpu.run(), Io)
    vcpu.page.immediate_exit = True
    assert vcpu.page.immediate_exit
    assert vcpu.run() == Intr()
    assert vcpu.get_regs().rip == CODE + 2
    vcpu.page.immediate_exit = False
    assert vcpu.run() == Io(0x12, 2, 1, False, b"")


@contextmanager
def handled(number: int) -> Iterator[list[int]]:
    """A Python handler for a signal; yields the list of those it got."""
    got: list[int] = []
    old = signal.signal(number, lambda n, _frame: got.append(n))
    try:
        yield got
    finally:
        signal.signal(number, old)


@contextmanager
def poke(number: int) -> Iterator[None]:
    """Send a signal to this thread every 10 ms."""
    done = threading.Event()
    target = threading.get_ident()

    def work() -> None:
        while not done.wait(0.01):
            signal.pthread_kill(target, number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_signal_interrupts_a_guest_that_spins(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, SPIN).vcpu
    with handled(signal.SIGUSR1) as got, poke(signal.SIGUSR1):
        assert vcpu.run() == Intr()
    assert signal.SIGUSR1 in got
    assert vcpu.get_regs().rip == CODE


def test_a_signal_blocked_by_the_mask_does_not(make_guest: Make) -> None:
    """Of two that are sent, the one that is not blocked ends KVM_RUN; the other waits for that."""
    vcpu = make_guest(Entry.REAL, SPIN).vcpu
    kick = signal.SIGRTMIN + 5
    with handled(signal.SIGUSR1) as blocked, handled(kick) as open_:
        vcpu.set_signal_mask([signal.SIGUSR1, *bench_timer_signals()])
        with poke(signal.SIGUSR1):
            stop = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), kick))
            stop.start()
            try:
                assert vcpu.run() == Intr()
                assert len(open_) == 1
            finally:
                stop.join()
        vcpu.set_signal_mask(None)
        with poke(signal.SIGUSR1):
            assert vcpu.run() == Intr()
        assert blocked


def bench_timer_signals() -> list[int]:
    """The bench's own deadline uses the run loop's signal."""
    from pykvm._shim import lib

    return [lib.shim_kick_signal()]


def test_an_interrupt_from_the_host_waits_for_its_window(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, ENABLE_AND_SPIN)
    guest.put(HANDLER, HALT_IN_HANDLER)
    guest.gate(0x21, HANDLER)
    vcpu = guest.vcpu
    page = vcpu.page
    page.request_interrupt_window = True
    assert page.request_interrupt_window
    assert guest.run() == IrqWindowOpen()
    assert page.ready_for_interrupt_injection
    assert page.if_flag
    page.request_interrupt_window = False
    vcpu.interrupt(0x21)
    assert guest.run() == Hlt()
    assert not page.if_flag
    assert vcpu.get_regs().rax & 0xFF == 0x77


def test_no_interrupt_from_the_host_past_an_irqchip(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, SPIN, prepare=IrqChip)
    with pytest.raises(KvmIoctlError) as caught:
        guest.vcpu.interrupt(0x21)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_INTERRUPT", errno.ENXIO)


def test_an_nmi_calls_vector_2(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, SPIN)
    guest.put(HANDLER, HALT_IN_HANDLER)
    guest.gate(2, HANDLER)
    guest.vcpu.nmi()
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax & 0xFF == 0x77


def test_cr8_and_the_apic_base_are_shared_in_the_page(make_guest: Make) -> None:
    guest = make_guest(Entry.LONG, bytes.fromhex("f4"))  # hlt
    page = guest.vcpu.page
    page.cr8 = 5
    page.apic_base = guest.vcpu.get_sregs().apic_base
    assert guest.run() == Hlt()
    assert (page.cr8, guest.vcpu.get_sregs().cr8) == (5, 5)
    assert page.apic_base == guest.vcpu.get_sregs().apic_base
    assert page.flags == 0


def test_translation_goes_through_the_guest_s_tables(make_guest: Make) -> None:
    """The bench maps the second 2 MiB to the first."""
    vcpu = make_guest(Entry.LONG, b"\xf4").vcpu
    assert vcpu.translate(0x207123) == 0x7123
    assert vcpu.translate(0x7123) == 0x7123
    assert vcpu.translate(1 << 40) is None


def test_a_processor_that_waits_for_init_does_not_run(system: System) -> None:
    """KVM_RUN waits for INIT until a signal comes: EINTR, or EAGAIN on kernels that say so."""
    with Vm(system) as vm:
        IrqChip(vm)
        with Vcpu(vm, 0), Vcpu(vm, 1) as second, handled(signal.SIGUSR1), poke(signal.SIGUSR1):
            assert run_or_errno(second) in (Intr(), errno.EAGAIN)


def run_or_errno(vcpu: Vcpu) -> object:
    """The exit, or the error's number."""
    try:
        return vcpu.run()
    except KvmIoctlError as error:
        return error.errno
