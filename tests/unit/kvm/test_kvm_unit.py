"""Small facts of `pykvm.kvm` that need no KVM."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

import pykvm.kvm
from pykvm._shim import ffi
from pykvm.errors import CapabilityMissing, KvmIoctlError
from pykvm.kvm import Capability, System, dirty_pages, ioctl
from pykvm.kvm.coalesced import drain


def test_dirty_pages_are_the_set_bits() -> None:
    assert dirty_pages(b"\x01\x80\x00\x03") == {0, 15, 24, 25}
    assert dirty_pages(bytes(8)) == set()


def test_a_failing_ioctl_is_named_with_its_error() -> None:
    with pytest.raises(KvmIoctlError) as caught:
        ioctl.call(-1, "KVM_CREATE_VM")
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_CREATE_VM", errno.EBADF)
    assert str(caught.value) == "KVM_CREATE_VM failed: Bad file descriptor"


def test_a_missing_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ioctl, "call", lambda _fd, name, _argument=0: 12 if name == "KVM_GET_API_VERSION" else 0
    )
    with System("/dev/null") as system, pytest.raises(CapabilityMissing) as caught:
        system.require(Capability.SPLIT_IRQCHIP)
    assert caught.value.capability == "KVM_CAP_SPLIT_IRQCHIP"


def test_every_exported_name_exists() -> None:
    for name in pykvm.kvm.__all__:
        assert getattr(pykvm.kvm, name).__module__.startswith("pykvm.kvm.")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pykvm.kvm.Nothing


def test_what_a_run_needs_does_not_import_the_rest() -> None:
    script = (
        "import sys; from pykvm.kvm import System, Vm, Vcpu; "
        "print(*[m for m in sys.modules if m.startswith('pykvm.kvm.')])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    wanted = {"ioctl", "registers", "runpage", "structs", "system", "vcpu", "vm"}
    assert {name.removeprefix("pykvm.kvm.") for name in loaded} <= wanted


def test_a_ring_is_drained_round_its_end() -> None:
    """The last slot is followed by the first one: (4096 - 8) // 24 of them."""
    memory = ffi.new("uint8_t[]", 4096)
    ring = ffi.cast("struct kvm_coalesced_mmio_ring *", memory)
    ring.first, ring.last = 169, 1
    for slot, text in ((169, b"ab"), (0, b"cd")):
        entry = ring.coalesced_mmio[slot]
        entry.phys_addr, entry.len, entry.pio = 0x10 + slot, len(text), slot == 0
        ffi.memmove(entry.data, text, len(text))
    assert [tuple(write) for write in drain(ring)] == [
        (0x10 + 169, b"ab", False),
        (0x10, b"cd", True),
    ]
    assert (ring.first, ring.last) == (1, 1)
