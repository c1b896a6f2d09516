"""What gets into an emulated processor's registers from outside: how a guest begins, what a BIOS
service changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.bios.registers import GENERAL as BIOS_GENERAL
from pykvm.bios.registers import Registers, SegmentValue
from pykvm.x86 import Cr0, Segment

if TYPE_CHECKING:
    from pykvm.boot.state import BootState
    from pykvm.emu.state import State

_GENERAL = tuple(name for name in BIOS_GENERAL if name != "rflags")
_LDT_TYPE, _TSS_TYPE = 2, 11


def load_boot_state(boot: BootState, state: State) -> None:
    """Begin as `boot` says; LDTR and TR are as after reset (SDM vol. 3A, table 10-1)."""
    state.fetch()
    for name in (*_GENERAL, "rip"):
        state.set(name, getattr(boot, name))
    state.rflags = boot.rflags
    for name in ("cr0", "cr3", "cr4", "efer"):
        state.set_control(name, getattr(boot, name))
    for name in ("ds", "es", "fs", "gs"):
        state.set_segment(name, boot.data)
    for name in ("cs", "ss"):
        state.set_segment(name, getattr(boot, name))
    state.set_segment("ldt", Segment(type=_LDT_TYPE, s=0))
    state.set_segment("tr", Segment(type=_TSS_TYPE, s=0))
    state.set_table("gdt", boot.gdt)
    state.set_table("idt", boot.idt)
    state.derive()
    state.store()


def read_bios_registers(state: State) -> Registers | None:
    """What a BIOS service sees; None in protected mode, where there are none."""
    if state.control("cr0") & Cr0.PE:
        return None
    segments = {name: state.segment(name) for name in ("cs", "ds", "es", "ss")}
    return Registers(
        {name: state.get(name) for name in _GENERAL} | {"rflags": state.rflags},
        **{name: SegmentValue(s.selector, s.base) for name, s in segments.items()},
    )


def write_bios_registers(registers: Registers, state: State) -> None:
    """What it changed; RIP stays as it is."""
    for name in _GENERAL:
        state.set(name, getattr(registers, name))
    state.rflags = registers.rflags
    if registers.es_changed:
        selector, base = registers.es
        state.set_segment("es", state.segment("es")._replace(selector=selector, base=base))
        state.derive()
    state.store()
