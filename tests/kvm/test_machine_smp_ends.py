"""How a machine with several processors ends, and what it refuses."""

from __future__ import annotations

import os
import threading

import pytest

from pykvm import Device, GuestCrash, Machine, Stop, StopReason
from pykvm.debug.crash import describe_crash
from pykvm.errors import KvmIoctlError, MachineError, SinkError
from pykvm.kvm import Capability, MpState, System, ioctl
from tests.support.leaks import nothing_left_behind
from tests.support.processors import HALT, OUT_30, OUT_30_FOR_EVER, START_OTHERS, load
from tests.support.small_guests import SPIN, Recorder
from tests.support.waiting import eventually

UNDEFINED_OPCODE = bytes.fromhex(
    "0f 01 1e 08 03"  # lidt [0x308], which is zero
    "0f 0b"  # ud2
)

pytestmark = pytest.mark.needs("msi")  # whose guest turns on an x2APIC


def test_the_timeout_ends_all_that_spin() -> None:
    with nothing_left_behind(), Machine("64K", smp=4) as machine:
        load(machine, START_OTHERS + SPIN, SPIN)
        assert machine.run(timeout=0.1).reason is StopReason.TIMEOUT


def test_only_those_that_wait_to_be_woken_may_look_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has devices to serve, even when it sleeps."""
    with Machine("64K", smp=2) as machine:
        first, other = machine.kvm_cpus
        asleep: dict[int, list[bool]] = {0: [], 1: []}
        for cpu in machine.kvm_cpus:
            kept = asleep[cpu.index]
            monkeypatch.setattr(
                cpu._ticks, "go_on", lambda *, asleep, kept=kept: kept.append(asleep)
            )
        first.vcpu.set_mp_state(MpState.INIT_RECEIVED)
        for cpu in machine.kvm_cpus:
            cpu._on_tick()
            assert cpu.is_asleep
        other.vcpu.set_mp_state(MpState.RUNNABLE)
        other._on_tick()
    assert asleep == {0: [False], 1: [True, False]}


def test_the_budget_is_one_for_all() -> None:
    with Machine("64K", smp=4) as machine:
        machine.ports.attach(0x30, 1, Recorder())
        load(machine, START_OTHERS + OUT_30_FOR_EVER, OUT_30_FOR_EVER)
        assert machine.run(timeout=60, max_exits=1000).reason is StopReason.BUDGET
        assert 1000 <= machine.stats().total_exits < 1004


def test_a_crash_says_whose_it_is() -> None:
    with nothing_left_behind(), Machine("64K", smp=3) as machine:
        load(machine, START_OTHERS + SPIN, b"\xe6\x31")  # out 0x31, al
        machine.ports.strict = True
        with pytest.raises(GuestCrash, match="port 0x31") as crash:
            machine.run(timeout=30)
    assert crash.value.processor in (1, 2)
    assert crash.value.cpu is not None
    assert crash.value.cpu.segments["cs"].selector == 0x200
    report = describe_crash(crash.value)
    assert report.startswith(f"the guest crashed on processor {crash.value.processor}: ")


@pytest.mark.needs("triple_fault")
def test_a_triple_fault_of_another_ends_it() -> None:
    with Machine("64K", smp=2) as machine:
        load(machine, START_OTHERS + SPIN, UNDEFINED_OPCODE)
        with pytest.raises(GuestCrash) as crash:
            machine.run(timeout=30)
    assert crash.value.processor == 1


def test_a_single_processor_s_crash_has_no_number() -> None:
    with Machine("64K", strict=True) as machine:
        machine.load(b"\xe6\x31")  # out 0x31, al
        with pytest.raises(GuestCrash) as crash:
            machine.run(timeout=30)
    assert crash.value.processor is None


def test_a_debug_exit_of_another_ends_it() -> None:
    exit_5 = bytes.fromhex(
        "b0 05"  # mov al, 5
        "e6 f4"  # out 0xf4, al
    )
    with Machine("64K", smp=4) as machine:
        load(machine, START_OTHERS + SPIN, exit_5 + SPIN)
        assert machine.run(timeout=30) == Stop(StopReason.DEBUG_EXIT, 5)
        assert machine.run(timeout=0.05).reason is not StopReason.STOPPED


def test_an_error_of_another_s_device_is_raised() -> None:
    class Full(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            raise SinkError("the disk is full")

    with nothing_left_behind(), Machine("64K", smp=2) as machine:
        machine.ports.attach(0x30, 1, Full())
        load(machine, START_OTHERS + SPIN, OUT_30)
        with pytest.raises(SinkError, match="full"):
            machine.run(timeout=30)


def test_what_a_signal_handler_raises_ends_all() -> None:
    class Raising(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            raise KeyboardInterrupt

    with nothing_left_behind(), Machine("64K", smp=3) as machine:
        machine.ports.attach(0x30, 1, Raising())
        load(machine, START_OTHERS + OUT_30, SPIN)
        with pytest.raises(KeyboardInterrupt):
            machine.run(timeout=30)
        assert machine.run(timeout=0.02).reason is StopReason.TIMEOUT


def test_a_host_without_threads_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = threading.Thread.start
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    with nothing_left_behind(), Machine("64K", smp=3) as machine:
        load(machine, HALT, HALT)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(MachineError, match="no thread left for processor"):
                machine.run(timeout=30)
        assert machine.run(timeout=30).reason is StopReason.HALTED


@pytest.mark.parametrize("misuse", ["run", "close", "load"])
def test_it_is_not_misused_while_it_runs(misuse: str) -> None:
    class Meddler(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            getattr(machine, misuse)(*([HALT] if misuse == "load" else []))

    with Machine("64K", smp=2) as machine:
        machine.ports.attach(0x30, 1, Meddler())
        load(machine, START_OTHERS + SPIN, OUT_30 + HALT)
        with pytest.raises(RuntimeError, match="running"):
            machine.run(timeout=30)


@pytest.mark.parametrize(
    ("irqchip", "smp", "words"),
    [
        ("none", 2, "irqchip kernel or split"),
        ("kernel", 0, "at least 1 processor"),
        ("kernel", 256, "at most 255"),
        ("apic", 1, "kernel, split, user, none"),
    ],
)
def test_what_cannot_be_is_refused(irqchip: str, smp: int, words: str) -> None:
    with nothing_left_behind(), pytest.raises(MachineError, match=words) as refused:
        Machine("64K", irqchip=irqchip, smp=smp)
    assert isinstance(refused.value, ValueError)


def test_the_host_s_limit_counts(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ioctl.call

    def call(fd: int, name: str, argument: object = 0) -> int:
        if name == "KVM_CHECK_EXTENSION" and argument == Capability.MAX_VCPUS:
            return 3
        return real(fd, name, argument)

    monkeypatch.setattr(ioctl, "call", call)
    with pytest.raises(MachineError, match=r"4 processors: .* at most 3"):
        Machine("64K", smp=4, system=system)


def test_kvm_run_may_fail_on_another() -> None:
    with nothing_left_behind(), Machine("64K", smp=2) as machine:
        load(machine, SPIN, SPIN)
        loop = machine.cpus[1].loop
        loop._c.fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with pytest.raises(KvmIoctlError, match="KVM_RUN failed"):
                machine.run(timeout=30)
        finally:
            os.close(loop._c.fd)


def test_a_stop_from_elsewhere_reaches_all() -> None:
    ends = []
    with nothing_left_behind(), Machine("64K", smp=4) as machine:
        load(machine, START_OTHERS + SPIN, SPIN)
        thread = threading.Thread(target=lambda: ends.append(machine.run(timeout=60).reason))
        thread.start()
        assert eventually(lambda: all(cpu.loop._c.thread for cpu in machine.cpus))
        machine.stop()
        thread.join()
    assert ends == [StopReason.STOPPED]
