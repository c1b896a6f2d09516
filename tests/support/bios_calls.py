"""Has a `Bios` serve a KVM processor: registers out, the service, registers back."""

from __future__ import annotations

from pykvm.bios import Registers, SegmentValue
from pykvm.bios.registers import GENERAL
from pykvm.kvm import Vcpu
from pykvm.x86 import Segment


def read_registers(vcpu: Vcpu) -> Registers:
    """What a service sees."""
    regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
    general = {name: getattr(regs, name) for name in GENERAL}
    return Registers(
        general,
        cs=segment_value(sregs.cs),
        ds=segment_value(sregs.ds),
        es=segment_value(sregs.es),
        ss=segment_value(sregs.ss),
    )


def write_registers(vcpu: Vcpu, registers: Registers) -> None:
    """What it changed, and RIP as it is."""
    regs = vcpu.get_regs()
    for name in GENERAL:
        setattr(regs, name, getattr(registers, name))
    vcpu.set_regs(regs)
    if registers.es_changed:
        sregs = vcpu.get_sregs()
        selector, base = registers.es
        sregs.es = sregs.es._replace(selector=selector, base=base)
        vcpu.set_sregs(sregs)


def segment_value(segment: Segment) -> SegmentValue:
    """A segment register without its descriptor's bits."""
    return SegmentValue(segment.selector, segment.base)
