"""The journal of ioctls against what is done."""

from __future__ import annotations

import errno

import pytest

from pykvm._shim import ffi
from pykvm.errors import KvmIoctlError, KvmUnavailable
from pykvm.kvm import System, Vcpu, Vm, ioctl
from pykvm.kvm import journal as journal_module
from pykvm.kvm.journal import Journal, fields_of
from pykvm.machine import Machine


def test_calls_in_order_with_descriptors_and_results() -> None:
    with Journal() as journal, System() as system, Vm(system) as vm, Vcpu(vm, 3) as vcpu:
        descriptors = [system.fd, vm.fd, vcpu.fd]
        size = system.vcpu_mmap_size()
    assert [(call.kind, call.name) for call in journal.calls] == [
        ("", "open"),
        ("system", "KVM_GET_API_VERSION"),
        ("system", "KVM_CREATE_VM"),
        ("system", "KVM_GET_VCPU_MMAP_SIZE"),
        ("VM", "KVM_CHECK_EXTENSION"),
        ("VM", "KVM_CREATE_VCPU"),
        ("vCPU", "mmap"),
    ]
    calls = {call.name: call for call in journal.calls}
    made = ("open", "KVM_CREATE_VM", "KVM_CREATE_VCPU")
    assert [calls[name].result for name in made] == descriptors
    assert calls["open"].fields == {"path": "/dev/kvm"}
    assert calls["mmap"].fields == {"size": size}
    assert calls["KVM_CREATE_VCPU"].fields == {"value": 3}
    starts = [call.start for call in journal.calls]
    assert starts == sorted(starts)
    for call, following in zip(journal.calls, journal.calls[1:], strict=False):
        assert 0 <= call.ns <= following.start - call.start


def test_structs_are_copied_when_the_call_is_made() -> None:
    with Journal() as journal, Machine(memory="64K") as machine:
        machine.load(b"\xf4")  # hlt
    regs = next(call for call in journal.calls if call.name == "KVM_SET_REGS")
    assert regs.fields["rip"] == 0x1000
    sregs = next(call for call in journal.calls if call.name == "KVM_SET_SREGS")
    assert sregs.fields["cs.base"] == 0
    assert sregs.fields["cs.limit"] == 0xFFFF
    slot = next(call for call in journal.calls if call.name == "KVM_SET_USER_MEMORY_REGION")
    assert slot.fields["memory_size"] == 1 << 16


def test_failures_are_noted_and_go_on(system: System) -> None:
    with Journal() as journal:
        with pytest.raises(KvmIoctlError):
            ioctl.call(system.fd, "KVM_GET_REGS", ffi.new("struct kvm_regs *"))
        with pytest.raises(KvmUnavailable):
            System("/nonexistent")
        with pytest.raises(KvmIoctlError, match="mmap failed"):
            ioctl.map_shared(system.fd, 4096)
    results = [call.result for call in journal.calls]
    assert results[:2] == [-errno.EINVAL, -errno.ENOENT]
    assert results[2] < 0


def test_afterwards_everything_is_as_before(system: System) -> None:
    before = ioctl.call, ioctl.open_device, ioctl.map_shared
    outer = Journal()
    with outer, Journal() as inner:
        system.api_version()
    assert len(outer.calls) == len(inner.calls) == 1
    with pytest.raises(ZeroDivisionError), outer:
        raise ZeroDivisionError
    assert (ioctl.call, ioctl.open_device, ioctl.map_shared) == before
    with outer:
        system.api_version()
    system.api_version()
    assert len(outer.calls) == 2


def test_a_journal_has_an_end(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CALLS_KEPT", 3)
    with Journal() as journal:
        for _ in range(5):
            system.api_version()
    assert (len(journal.calls), journal.dropped) == (3, 2)


def test_arguments_of_every_kind() -> None:
    assert fields_of(0) == {}
    assert fields_of(7) == {"value": 7}
    assert fields_of(ffi.new("uint64_t *", 9)) == {"value": 9}
    assert fields_of(ffi.NULL) == {}
    assert fields_of(ffi.new("uint8_t[]", 4)) == {}
    table = ffi.new("struct kvm_cpuid2 *", {"nent": 2, "entries": 2})
    assert fields_of(table) == {"nent": 2, "padding": 0} or fields_of(table) == {"nent": 2}
