"""Machines used when closed, or twice at once: a Python error, never a crash of the process."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest

from pykvm import Device, Machine, StopReason
from pykvm.errors import GuestMemoryError, KvmIoctlError
from pykvm.kvm import System, Vcpu, Vm, ioctl
from pykvm.kvm.runloop import INTERRUPTED, RunLoop
from pykvm.memory import Gpa
from tests.support.bare import Bare
from tests.support.small_guests import SPIN
from tests.support.waiting import eventually

HLT = b"\xf4"
IN_THEN_HALT = bytes.fromhex(
    "e4 30"  # in al, 0x30
    "f4"  # hlt
)
PRINT_THEN_HALT = bytes.fromhex(
    "b0 78"  # mov al, 'x'
    "e6 e9"  # out 0xe9, al
    "e6 e9"  # out 0xe9, al
    "f4"  # hlt
)


def closed_machine() -> Machine:
    machine = Machine("64K")
    machine.load(HLT)
    machine.close()
    return machine


def test_a_closed_machine_does_not_run_not_even_another_one() -> None:
    closed = closed_machine()
    with Machine("64K") as other:  # its vCPU has the closed one's descriptor number
        other.load(IN_THEN_HALT)
        with pytest.raises(ValueError, match="closed"):
            closed.run(timeout=10)
        assert other.stats().exits == {}
        assert other.run(timeout=10).reason is StopReason.HALTED


def test_a_closed_machine_may_be_stopped_and_asked() -> None:
    """A watchdog's thread cannot know that the run is over."""
    closed = closed_machine()
    closed.stop()
    closed.cpus[0].loop.drain()
    assert list(closed.cpus[0].loop.posted_writes()) == []
    assert closed.output == b""
    assert closed.stats().exits == {}


def test_a_closed_machine_s_state_is_gone() -> None:
    closed = closed_machine()
    with pytest.raises(GuestMemoryError, match="closed"):
        closed.memory.view(Gpa(0), 1)
    with pytest.raises(GuestMemoryError, match="closed"):
        closed.load(HLT)
    with pytest.raises(GuestMemoryError, match="closed"):
        closed.load(bytes(510) + b"\x55\xaa")
    with pytest.raises(GuestMemoryError, match="closed"):
        closed.boot([])
    with pytest.raises(GuestMemoryError, match="closed"):
        closed.boot_firmware(b"")
    with pytest.raises(KvmIoctlError, match="KVM_GET_REGS failed: Bad file descriptor"):
        closed.cpus[0].snapshot()


def test_a_loop_does_not_outlive_its_vcpu(system: System) -> None:
    with Vm(system) as vm:
        with Vcpu(vm, 0) as vcpu:
            loop = RunLoop(vcpu)
        loop.kick()
        with pytest.raises(ValueError, match="the vCPU is closed"):
            loop.enter()


def test_a_kick_touches_nothing_that_closing_takes_away(bare: Bare) -> None:
    bare.load(SPIN)
    bare.loop.kick()
    assert not bare.cpu.vcpu.page.immediate_exit
    assert bare.loop.enter() == INTERRUPTED


def test_one_thread_at_a_time_is_in_the_loop(bare: Bare) -> None:
    bare.load(SPIN)
    thread = threading.Thread(target=bare.loop.enter)
    thread.start()
    try:
        assert eventually(lambda: bool(bare.loop._c.thread))
        with pytest.raises(KvmIoctlError, match="KVM_RUN failed: Device or resource busy"):
            bare.loop.enter()
    finally:
        bare.loop.kick()
        thread.join()


def test_a_running_machine_is_neither_run_nor_closed() -> None:
    ends = []
    with Machine("64K") as machine:
        machine.load(SPIN)
        thread = threading.Thread(target=lambda: ends.append(machine.run(timeout=60).reason))
        thread.start()
        try:
            assert eventually(lambda: bool(machine.cpus[0].loop._c.thread))
            for misuse in (machine.run, machine.close):
                with pytest.raises(RuntimeError, match="running"):
                    misuse()
        finally:
            machine.stop()
            thread.join()
    assert ends == [StopReason.STOPPED]


@pytest.mark.parametrize("misuse", ["run", "close"])
def test_a_device_neither_runs_nor_closes_its_machine(misuse: str) -> None:
    class Meddler(Device):
        def read(self, offset: int, size: int) -> int:
            getattr(machine, misuse)()
            return 0

    with Machine("64K") as machine:
        machine.ports.attach(0x30, 1, Meddler())
        machine.load(IN_THEN_HALT)
        with pytest.raises(RuntimeError, match="running"):
            machine.run(timeout=10)


def test_output_before_a_failure_of_the_host_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    with Machine("64K", irqchip="none") as machine:
        loop = machine.cpus[0].loop
        enter = loop.enter

        def fail() -> int:
            while enter() == INTERRUPTED:
                pass
            raise KvmIoctlError("KVM_RUN", errno.EFAULT)

        machine.load(PRINT_THEN_HALT)
        monkeypatch.setattr(loop, "enter", fail)
        with pytest.raises(KvmIoctlError):
            machine.run(timeout=10)
        assert machine.debug_output == b"xx"


def test_the_output_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pykvm.machine.OUTPUT_KEPT", 1)
    with Machine("64K") as machine:
        machine.load(PRINT_THEN_HALT)
        machine.run(timeout=10)
        assert machine.debug_output == b"x"


def test_a_signal_while_a_vm_is_made_does_not_matter(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, signals = ioctl.call, [errno.EINTR, errno.EINTR]

    def interrupted(fd: int, name: str, argument: Any = 0) -> int:
        if name == "KVM_CREATE_VM" and signals:
            raise KvmIoctlError(name, signals.pop())
        return real(fd, name, argument)

    monkeypatch.setattr(ioctl, "call", interrupted)
    with Vm(system) as vm:
        assert vm.fd >= 0
    assert signals == []
