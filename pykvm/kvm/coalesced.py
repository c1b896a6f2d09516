"""Coalesced zones: writes that the kernel collects in a ring instead of leaving the guest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pykvm._shim import ffi
from pykvm.kvm import ioctl
from pykvm.kvm.registration import Registration
from pykvm.kvm.vm import Vm
from pykvm.x86 import PAGE_SIZE


class CoalescedWrite(NamedTuple):
    """A write found in the ring.

    Attributes:
        address: guest-physical, or a port.
        data: what was written, little-endian.
        pio: whether `address` is a port.
    """

    address: int
    data: bytes
    pio: bool


class CoalescedZone(Registration):
    """A range of addresses whose writes go to the ring (KVM API 4.116).

    The ring is one for the whole VM.  When it is full, writes exit as ever; its entries come
    before that exit.

    Args:
        vm: the VM.
        address: the first guest-physical address, or port.
        size: bytes, or ports; only accesses that lie wholly inside are coalesced.
        pio: whether it is ports (KVM_CAP_COALESCED_PIO; else KVM_CAP_COALESCED_MMIO).

    Raises:
        KvmIoctlError: EINVAL, ENOSPC: KVM takes no more zones.
    """

    def __init__(self, vm: Vm, address: int, size: int, *, pio: bool = False) -> None:
        self.address = address
        self.size = size
        self.pio = pio
        super().__init__(vm, "KVM_REGISTER_COALESCED_MMIO", self._struct())

    def _struct(self) -> Any:
        zone = ffi.new("struct kvm_coalesced_mmio_zone *")
        zone.addr = self.address
        zone.size = self.size
        zone.pio = self.pio
        return zone

    def _undo(self) -> None:
        ioctl.call(self.vm.fd, "KVM_UNREGISTER_COALESCED_MMIO", self._struct())


def drain(ring: Any) -> Iterator[CoalescedWrite]:
    """Take the writes out of a ring (`RunPage.coalesced_ring`), oldest first.

    For one thread at a time, and not beside a `RunLoop`, which drains the ring itself.
    """
    header = ffi.sizeof("struct kvm_coalesced_mmio_ring")
    entries = (PAGE_SIZE - header) // ffi.sizeof("struct kvm_coalesced_mmio")
    while ring.first != ring.last:
        entry = ring.coalesced_mmio[ring.first]
        data = bytes(ffi.buffer(entry.data, entry.len))
        yield CoalescedWrite(entry.phys_addr, data, bool(entry.pio))
        ring.first = (ring.first + 1) % entries
