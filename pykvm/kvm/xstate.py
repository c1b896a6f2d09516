"""Extended processor state: the XSAVE area and the extended control registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl

if TYPE_CHECKING:
    from pykvm.kvm.vcpu import Vcpu


def get_xsave(vcpu: Vcpu) -> bytes:
    """See `Vcpu.get_xsave`."""
    size, name = _size(vcpu)
    area = ffi.new("uint8_t[]", size)
    ioctl.call(vcpu.fd, name, area)
    return bytes(ffi.buffer(area))


def set_xsave(vcpu: Vcpu, area: bytes) -> None:
    """See `Vcpu.set_xsave`."""
    size, _ = _size(vcpu)
    if len(area) != size:
        raise ValueError(f"this VM's XSAVE area is {size} bytes, not {len(area)}")
    ioctl.call(vcpu.fd, "KVM_SET_XSAVE", ffi.new("uint8_t[]", area))


def _size(vcpu: Vcpu) -> tuple[int, str]:
    size = vcpu.vm.check(lib.KVM_CAP_XSAVE2)
    if size:
        return size, "KVM_GET_XSAVE2"
    return int(ffi.sizeof("struct kvm_xsave")), "KVM_GET_XSAVE"


def get_xcrs(fd: int) -> dict[int, int]:
    """See `Vcpu.get_xcrs`."""
    xcrs = ffi.new("struct kvm_xcrs *")
    ioctl.call(fd, "KVM_GET_XCRS", xcrs)
    return {xcr.xcr: xcr.value for xcr in xcrs.xcrs[0 : xcrs.nr_xcrs]}


def set_xcrs(fd: int, values: Mapping[int, int]) -> None:
    """See `Vcpu.set_xcrs`."""
    xcrs = ffi.new("struct kvm_xcrs *")
    if len(values) > len(xcrs.xcrs):
        raise ValueError(f"{len(values)} extended control registers: there are at most 16")
    xcrs.nr_xcrs = len(values)
    for i, (number, value) in enumerate(values.items()):
        xcrs.xcrs[i].xcr = number
        xcrs.xcrs[i].value = value
    ioctl.call(fd, "KVM_SET_XCRS", xcrs)
