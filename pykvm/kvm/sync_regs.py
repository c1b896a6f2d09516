"""Registers in the run page: read and written around KVM_RUN without an ioctl each."""

from __future__ import annotations

from enum import IntFlag
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import VcpuEvents, load_events, store_events
from pykvm.kvm.structs import load, store
from pykvm.kvm.vcpu import Vcpu


class SyncFlag(IntFlag):
    """The register sets that can be shared (KVM API 6.74)."""

    REGS = 1
    SREGS = 2
    EVENTS = 4


class SyncRegs:
    """A vCPU's shared registers (KVM_CAP_SYNC_REGS, KVM API 6.74).

    What is read is what the last KVM_RUN left, if `valid` had asked for that set by then; what is
    set reaches the vCPU with the next one.

    Args:
        vcpu: whose; this object must not outlive it.
        valid: the sets to be copied out at each exit.
    """

    def __init__(self, vcpu: Vcpu, valid: SyncFlag) -> None:
        self._vcpu = vcpu
        self.valid = valid

    @property
    def _regs(self) -> Any:
        return lib.shim_sync_regs(self._vcpu.page.run)

    @property
    def valid(self) -> SyncFlag:
        """The sets that KVM copies out; those it does not know make KVM_RUN fail (EINVAL)."""
        return SyncFlag(self._vcpu.page.run.kvm_valid_regs)

    @valid.setter
    def valid(self, flags: SyncFlag) -> None:
        self._vcpu.page.run.kvm_valid_regs = int(flags)

    @property
    def dirty(self) -> SyncFlag:
        """The sets that the next KVM_RUN takes in; it clears this."""
        return SyncFlag(self._vcpu.page.run.kvm_dirty_regs)

    def get_regs(self) -> Regs:
        """The general registers."""
        return load(Regs, self._regs.regs)

    def set_regs(self, regs: Regs) -> None:
        """Set the general registers."""
        store(regs, self._regs.regs)
        self._mark(SyncFlag.REGS)

    def get_sregs(self) -> Sregs:
        """The special registers."""
        return load(Sregs, self._regs.sregs)

    def set_sregs(self, sregs: Sregs) -> None:
        """Set the special registers."""
        store(sregs, self._regs.sregs)
        self._mark(SyncFlag.SREGS)

    def get_vcpu_events(self) -> VcpuEvents:
        """The pending events."""
        return load_events(self._events)

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        """Set the pending events."""
        store_events(events, self._events)
        self._mark(SyncFlag.EVENTS)

    @property
    def _events(self) -> Any:
        return ffi.addressof(self._regs, "events")

    def _mark(self, flag: SyncFlag) -> None:
        self._vcpu.page.run.kvm_dirty_regs |= int(flag)
