"""SYSCALL and SYSENTER (SDM vol. 2B)."""

from __future__ import annotations

from pykvm.emu.events import GENERAL_PROTECTION, INVALID_OPCODE, Event
from pykvm.emu.syscalls import Saved, SyscallMsrs, syscall, sysenter
from pykvm.x86 import Efer, Rflags
from tests.unit.emu.rig import Rig

MSRS = SyscallMsrs(
    star=0x0023_0010 << 32,
    lstar=0xFFFF_8000_0000_1000,
    fmask=Rflags.IF | Rflags.DF,
    sysenter_cs=0x13,
    sysenter_esp=0xA_0000_0000,
    sysenter_eip=0xB_0000_0000,
)


def test_syscall_leaves_where_it_came_from_in_registers() -> None:
    rig = Rig(64, cpl=3)
    rig.registers.efer |= Efer.SCE
    rig.registers.rflags |= Rflags.CF
    flags = rig.registers.rflags
    assert syscall(rig.registers, MSRS, 0x4002) == Saved(0x4002, flags)
    r = rig.registers
    assert (r.rip, r.rsp, r.cpl) == (0xFFFF_8000_0000_1000, 0x9000, 0)
    assert (r.cs.selector, r.cs.l, r.ss.selector) == (0x10, 1, 0x18)
    assert r.rflags == Rflags.FIXED | Rflags.CF


def test_syscall_is_undefined_where_it_is_off_or_not_in_64_bit_code() -> None:
    off, compatible = Rig(64, cpl=3), Rig(64, cpl=3)
    compatible.registers.efer |= Efer.SCE
    compatible.registers.cs = compatible.registers.cs._replace(l=0, db=1)
    for rig in (off, compatible):
        assert syscall(rig.registers, MSRS, 0x4002) == Event(INVALID_OPCODE)
        assert rig.registers.rip == 0x4000


def test_sysenter_takes_all_from_its_registers() -> None:
    for bits, mask in ((32, 0xFFFF_FFFF), (64, (1 << 64) - 1)):
        rig = Rig(bits, cpl=3)
        assert sysenter(rig.registers, MSRS) is None
        r = rig.registers
        assert (r.rip, r.rsp) == (MSRS.sysenter_eip & mask, MSRS.sysenter_esp & mask)
        assert (r.cs.selector, r.ss.selector, r.cpl) == (0x10, 0x18, 0)
        assert (r.cs.l, r.rflags & Rflags.IF) == (int(bits == 64), 0)


def test_sysenter_without_a_segment_or_in_real_mode_is_a_protection_fault() -> None:
    null = MSRS._replace(sysenter_cs=3)
    assert sysenter(Rig(32).registers, null) == Event(GENERAL_PROTECTION, 0)
    assert sysenter(Rig(16).registers, MSRS) == Event(GENERAL_PROTECTION, 0)
