"""Nothing is left behind: after success, after failure, after a thousand of each."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from pykvm import GuestCrash, Machine, StopReason
from pykvm.errors import GuestMemoryError, KvmIoctlError, KvmUnavailable
from pykvm.kvm import ioctl
from pykvm.kvm.system import System
from tests.support.leaks import nothing_left_behind

ROUNDS = 1000

HLT = b"\xf4"
OUT_THEN_HALT = bytes.fromhex(
    "e6 e9"  # out 0xe9, al
    "f4"  # hlt
)


def create_run_close(irqchip: str = "none", smp: int = 1) -> None:
    with Machine("64K", accel="kvm", irqchip=irqchip, smp=smp) as machine:
        machine.load(OUT_THEN_HALT)
        assert machine.run(timeout=60).reason is StopReason.HALTED


class FailAt:
    """Stands in for `ioctl.call` and fails the nth call."""

    def __init__(self, nth: int) -> None:
        self.nth = nth
        self.calls = 0
        self.failed: str | None = None
        self._real = ioctl.call

    def __call__(self, fd: int, name: str, argument: Any = 0) -> int:
        self.calls += 1
        if self.calls == self.nth:
            self.failed = name
            raise KvmIoctlError(name, errno.ENOMEM)
        return self._real(fd, name, argument)


@pytest.mark.parametrize(
    ("irqchip", "smp"), [("none", 1), ("user", 1), ("split", 1), ("kernel", 3)]
)
def test_every_ioctl_may_fail(monkeypatch: pytest.MonkeyPatch, irqchip: str, smp: int) -> None:
    create_run_close(irqchip, smp)
    failed = []
    for nth in range(1, 100):
        fail = FailAt(nth)
        with monkeypatch.context() as patch, nothing_left_behind():
            patch.setattr(ioctl, "call", fail)
            if fail_names_itself(fail, irqchip, smp):
                break
        assert fail.failed is not None
        failed.append(fail.failed)
    else:
        pytest.fail("it never got through")
    assert {
        "KVM_GET_API_VERSION",
        "KVM_CREATE_VM",
        "KVM_SET_USER_MEMORY_REGION",
        "KVM_CREATE_VCPU",
        "KVM_GET_VCPU_MMAP_SIZE",
        "KVM_SET_CPUID2",
        "KVM_SET_SREGS",
        "KVM_SET_REGS",
    } <= set(failed)


@pytest.mark.parametrize(
    "name",
    [
        "KVM_CREATE_IRQCHIP",
        "KVM_CREATE_PIT2",
        "KVM_GET_MP_STATE",
        "KVM_GET_REGS",
        "KVM_GET_VCPU_EVENTS",
        "KVM_GET_LAPIC",
        "KVM_GET_IRQCHIP",
    ],
)
def test_looking_for_the_end_may_fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    create_run_close("kernel", 3)
    real = ioctl.call

    def fail(fd: int, called: str, argument: Any = 0) -> int:
        if called == name:
            raise KvmIoctlError(name, errno.ENOMEM)
        return real(fd, called, argument)

    with monkeypatch.context() as patch, nothing_left_behind():
        patch.setattr(ioctl, "call", fail)
        with pytest.raises(KvmIoctlError, match=name):
            create_run_close("kernel", 3)


def fail_names_itself(fail: FailAt, irqchip: str, smp: int) -> bool:
    """Try; an error must name the ioctl that failed.  Tells whether all went well."""
    try:
        create_run_close(irqchip, smp)
    except KvmUnavailable as error:
        assert fail.failed is not None
        assert fail.failed in str(error)
        return False
    except KvmIoctlError as error:
        assert error.ioctl == fail.failed
        assert error.errno == errno.ENOMEM
        return False
    return fail.failed is None


def test_kvm_run_may_fail() -> None:
    with nothing_left_behind(), Machine("64K", accel="kvm", irqchip="none") as machine:
        machine.load(HLT)
        loop = machine.cpus[0].loop
        loop._c.fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with pytest.raises(KvmIoctlError, match="KVM_RUN failed: Inappropriate ioctl"):
                machine.run(timeout=10)
        finally:
            os.close(loop._c.fd)


@pytest.mark.parametrize("call", ["memfd_create", "ftruncate"])
def test_memory_may_fail(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))

    monkeypatch.setattr(os, call, refuse)
    with nothing_left_behind(), pytest.raises(GuestMemoryError, match="Too many open files"):
        Machine()


def test_a_crash_leaves_nothing() -> None:
    with nothing_left_behind():
        machine = Machine(strict=True)
        machine.load(b"\xe6\x30")  # out 0x30, al
        with machine, pytest.raises(GuestCrash):
            machine.run(timeout=10)


def test_a_thousand_rounds_leave_nothing() -> None:
    create_run_close()
    with nothing_left_behind():
        for _ in range(ROUNDS):
            create_run_close()


def test_processors_leave_nothing() -> None:
    create_run_close("kernel", 4)
    with nothing_left_behind():
        for _ in range(10):
            create_run_close("kernel", 4)


def test_a_thousand_failures_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with System() as system, nothing_left_behind():
        for i in range(ROUNDS):
            with monkeypatch.context() as patch:
                patch.setattr(ioctl, "call", FailAt(1 + i % 9))
                with pytest.raises(KvmIoctlError):
                    Machine("64K", accel="kvm", irqchip="split", smp=2, system=system)


def test_a_hundred_machines_at_once_are_all_given_back() -> None:
    with nothing_left_behind():
        machines = [Machine("64K", accel="kvm", irqchip="none") for _ in range(100)]
        for machine in machines:
            machine.close()
