"""Registers shared in the run page."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm import EventFlag, Regs, SyncFlag, SyncRegs
from pykvm.kvm.exits import Hlt, Io
from pykvm.kvm.probes.bench import CODE, Entry, Guest

Make = Callable[..., Guest]

OUT_AND_HALT = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "f4"  # hlt
)


def test_what_is_read_is_what_the_ioctls_say(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, OUT_AND_HALT).vcpu
    sync = SyncRegs(vcpu, SyncFlag.REGS | SyncFlag.SREGS | SyncFlag.EVENTS)
    assert sync.valid == SyncFlag.REGS | SyncFlag.SREGS | SyncFlag.EVENTS
    assert isinstance(vcpu.run(), Io)
    assert sync.get_regs() == vcpu.get_regs()
    assert sync.get_sregs() == vcpu.get_sregs()
    assert sync.get_vcpu_events() == vcpu.get_vcpu_events()


def test_what_is_not_asked_for_is_not_copied(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, OUT_AND_HALT).vcpu
    sync = SyncRegs(vcpu, SyncFlag.SREGS)
    vcpu.run()
    assert sync.get_regs().rip == 0
    assert sync.get_sregs() == vcpu.get_sregs()


def test_what_is_set_reaches_the_vcpu_with_the_next_run(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, OUT_AND_HALT).vcpu
    sync = SyncRegs(vcpu, SyncFlag(0))
    sync.set_regs(Regs(rax=0x55, rip=CODE, rflags=2))
    sregs = vcpu.get_sregs()
    sregs.cr2 = 0x1234
    sync.set_sregs(sregs)
    assert sync.dirty == SyncFlag.REGS | SyncFlag.SREGS
    assert vcpu.get_regs().rax != 0x55
    assert vcpu.run() == Io(0x10, 1, 1, True, b"\x55")
    assert sync.dirty == SyncFlag(0)
    assert vcpu.get_sregs().cr2 == 0x1234


def test_events_are_set_too(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, OUT_AND_HALT).vcpu
    sync = SyncRegs(vcpu, SyncFlag.EVENTS)
    vcpu.run()
    events = sync.get_vcpu_events()
    events.nmi_masked = 1
    events.flags = EventFlag.NMI_PENDING
    sync.set_vcpu_events(events)
    assert vcpu.run() == Hlt()
    assert vcpu.get_vcpu_events().nmi_masked == 1


def test_sets_that_kvm_does_not_know(make_guest: Make) -> None:
    vcpu = make_guest(Entry.REAL, OUT_AND_HALT).vcpu
    SyncRegs(vcpu, SyncFlag(1 << 40))
    with pytest.raises(KvmIoctlError) as caught:
        vcpu.run()
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_RUN", errno.EINVAL)
