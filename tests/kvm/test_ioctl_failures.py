"""Every ioctl can fail: whichever it is, nothing stays open or mapped."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from pykvm._shim import lib
from pykvm.errors import KvmIoctlError, KvmUnavailable, PykvmError
from pykvm.kvm import (
    CoalescedZone,
    Fpu,
    IoEventFd,
    IrqChip,
    IrqFd,
    Pit,
    SplitIrqChip,
    SyncFlag,
    SyncRegs,
    System,
    Vcpu,
    Vm,
    ioctl,
)
from pykvm.kvm.probes.bench import Entry, Guest

REAL_CALL = ioctl.call


class Breaker:
    """Stands in for `ioctl.call`: lets `good` calls through, fails the next one."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.failed = ""

    def __call__(self, fd: int, name: str, argument: Any = 0) -> int:
        if self.good == 0 and not self.failed:
            self.failed = name
            raise KvmIoctlError(name, errno.EIO)
        self.good -= 1
        return REAL_CALL(fd, name, argument)


def held() -> tuple[int, int, int]:
    """Descriptors, vCPU mappings and threads of this process."""
    me = psutil.Process()
    maps = sum("kvm-vcpu" in region.path for region in me.memory_maps(grouped=False))
    return me.num_fds(), maps, me.num_threads()


def machine(stack: ExitStack) -> None:
    """A VM with whatever can be attached to it."""
    system = stack.enter_context(System())
    vm = stack.enter_context(Vm(system))
    Pit(IrqChip(vm))
    fd = os.eventfd(0)
    stack.callback(os.close, fd)
    stack.enter_context(IrqFd(vm, fd, 5))
    stack.enter_context(IoEventFd(vm, fd, 0x10, 1, pio=True))
    stack.enter_context(CoalescedZone(vm, 0x20, 1, pio=True))
    vcpu = stack.enter_context(Vcpu(vm, 0))
    SyncRegs(vcpu, SyncFlag.REGS)
    vcpu.set_cpuid2(system.supported_cpuid())
    vcpu.set_regs(vcpu.get_regs())
    vcpu.set_sregs(vcpu.get_sregs())
    vcpu.set_fpu(Fpu())
    vcpu.set_xsave(vcpu.get_xsave())
    vcpu.set_xcrs(vcpu.get_xcrs())
    vcpu.set_msrs(vcpu.get_msrs([0x174]))
    vcpu.set_lapic(vcpu.get_lapic())
    vcpu.set_vcpu_events(vcpu.get_vcpu_events())
    vcpu.set_debugregs(vcpu.get_debugregs())
    vcpu.set_mp_state(vcpu.get_mp_state())
    vcpu.page.immediate_exit = True
    vcpu.run()


def split_machine(stack: ExitStack) -> None:
    """The other irqchip."""
    system = stack.enter_context(System())
    SplitIrqChip(stack.enter_context(Vm(system)))


def bench(stack: ExitStack) -> None:
    """A probe's guest."""
    Guest(stack, stack.enter_context(System()), Entry.LONG, b"\xf4")


@pytest.mark.parametrize("build", [machine, split_machine, bench])
def test_the_nth_ioctl_fails(
    build: Callable[[ExitStack], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        build(stack)
    before = held()
    seen: list[str] = []
    told: list[str] = []
    for n in range(1000):
        breaker = Breaker(n)
        monkeypatch.setattr(ioctl, "call", breaker)
        try:
            with ExitStack() as stack:
                build(stack)
        except (KvmIoctlError, KvmUnavailable) as error:
            told.append(str(error))
        monkeypatch.undo()
        assert held() == before, breaker.failed
        if not breaker.failed:
            break
        seen.append(breaker.failed)
        assert breaker.failed in told[-1]
    assert "KVM_CREATE_VM" in seen
    assert len(seen) >= 3


def test_a_run_page_that_cannot_be_mapped(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    before = held()
    with Vm(system) as vm:
        monkeypatch.setattr(system, "vcpu_mmap_size", lambda: 1 << 62)
        with pytest.raises(KvmIoctlError, match=r"mmap failed: .* \(the vCPU's run page\)"):
            Vcpu(vm, 0)
    assert held() == before


def test_a_host_out_of_descriptors(system: System) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Vm(system) as vm:
        before = held()
        vm.system.vcpu_mmap_size()
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            for make in (System, lambda: Vm(system), lambda: Vcpu(vm, 0)):
                with pytest.raises(PykvmError, match="Too many open files"):
                    make()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert held() == before


def test_every_ioctl_is_known_by_the_name_it_is_called() -> None:
    """A wrong name would be an AttributeError at run time only."""
    import ast
    from pathlib import Path

    import pykvm.kvm

    names = set()
    for file in Path(pykvm.kvm.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and str(node.value).startswith(
                ("KVM_GET_", "KVM_SET_", "KVM_CREATE_")
            ):
                names.add(str(node.value).split()[0])
    assert len(names) > 30
    assert [name for name in sorted(names) if not hasattr(lib, name)] == []
