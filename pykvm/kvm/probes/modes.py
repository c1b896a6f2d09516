"""Probes: operating modes, paging, exceptions and the ways between them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from pykvm.kvm.exits import Hlt, Io, Shutdown
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import (
    CODE,
    CODE64,
    DATA,
    GDT,
    HANDLER,
    HANDLER_2,
    STACK,
    Entry,
    Guest,
    code,
    expect,
)
from pykvm.kvm.system import System
from pykvm.x86 import DescriptorTable, Efer, flat_data

_MAGIC = 0x12345678
_STAR, _LSTAR = 0xC0000081, 0xC0000082

_REAL = code(
    "b8 34 12",  # mov ax, 0x1234
    "e6 10",  # out 0x10, al
    "e4 11",  # in al, 0x11
    "f4",  # hlt
)
_PROTECTED = code(
    "b8 78 56 34 12",  # mov eax, 0x12345678
    "e6 10",  # out 0x10, al
    "e4 11",  # in al, 0x11
    "f4",  # hlt
)
_READ_ALIAS_4M = code(
    "a1 00 70 40 00",  # mov eax, dword ptr [0x407000]
    "e6 10",  # out 0x10, al
    "e4 11",  # in al, 0x11
    "f4",  # hlt
)
_READ_ALIAS_2M = code(
    "a1 00 70 20 00",  # mov eax, dword ptr [0x207000]
    "e6 10",  # out 0x10, al
    "e4 11",  # in al, 0x11
    "f4",  # hlt
)
_LONG = code(
    "8b 04 25 00 70 20 00",  # mov eax, dword ptr [0x207000]
    "48 bb 88 77 66 55 44 33 22 11",  # movabs rbx, 0x1122334455667788
    "e6 10",  # out 0x10, al
    "e4 11",  # in al, 0x11
    "f4",  # hlt
)
_UNREAL = code(
    "66 bb 44 23 01 00",  # mov ebx, 0x12344
    "67 66 8b 03",  # mov eax, dword ptr [ebx]
    "f4",  # hlt
)
_TO_PROTECTED = code(
    "0f 01 16 00 71",  # lgdt [0x7100]
    "0f 20 c0",  # mov eax, cr0
    "0c 01",  # or al, 1
    "0f 22 c0",  # mov cr0, eax
    "ea 00 11 28 00",  # ljmp 0x28:0x1100
)
_TO_LONG = code(
    "b8 10 00 00 00",  # mov eax, 0x10
    "8e d8",  # mov ds, eax
    "8e d0",  # mov ss, eax
    "0f 20 e0",  # mov eax, cr4
    "0c 20",  # or al, 0x20
    "0f 22 e0",  # mov cr4, eax
    "b8 00 40 00 00",  # mov eax, 0x4000
    "0f 22 d8",  # mov cr3, eax
    "b9 80 00 00 c0",  # mov ecx, 0xc0000080
    "0f 32",  # rdmsr
    "80 cc 01",  # or ah, 1
    "0f 30",  # wrmsr
    "0f 20 c0",  # mov eax, cr0
    "0d 00 00 00 80",  # or eax, 0x80000000
    "0f 22 c0",  # mov cr0, eax
    "ea 00 12 00 00 08 00",  # jmp 0x8:0x1200
)
_IN_LONG = code(
    "48 b8 88 77 66 55 44 33 22 11",  # movabs rax, 0x1122334455667788
    "48 89 04 25 00 70 00 00",  # mov qword ptr [0x7000], rax
    "f4",  # hlt
)
_INT_40 = code(
    "cd 40",  # int 0x40
    "f4",  # hlt
)
_ON_INT_PROTECTED = code(
    "b8 55 55 00 00",  # mov eax, 0x5555
    "cf",  # iretd
)
_ON_INT_LONG = code(
    "b8 55 55 00 00",  # mov eax, 0x5555
    "48 cf",  # iretq
)
_UD2 = code(
    "0f 0b",  # ud2
    "f4",  # hlt
)
_ON_UD = code(
    "b0 55",  # mov al, 0x55
    "f4",  # hlt
)
_PAGE_FAULT = code(
    "bf 00 00 00 40",  # mov edi, 0x40000000
    "c6 07 01",  # mov byte ptr [rdi], 1
    "f4",  # hlt
)
_ON_PAGE_FAULT = code(
    "5b",  # pop rbx
    "0f 20 d0",  # mov rax, cr2
    "f4",  # hlt
)
_TO_USER = code(
    "b9 00 11 00 00",  # mov ecx, 0x1100
    "41 bb 02 00 00 00",  # mov r11d, 2
    "48 0f 07",  # sysretq
)
_USER = code(
    "b8 77 00 00 00",  # mov eax, 0x77
    "8c cb",  # mov ebx, cs
    "0f 05",  # syscall
    "eb fe",  # jmp .
)
_ON_SYSCALL = code(
    "f4",  # hlt
)
_NOT_AN_IDT = code(
    "0f 0b",  # ud2
    "f4",  # hlt
)


def _out_in_hlt(guest: Guest, before: int) -> str:
    """Follow a guest through OUT and IN of port 0x10 and 0x11 to HLT; RAX must be `before`."""
    out = guest.run_to(Io)
    expect(out, Io(0x10, 1, 1, True, bytes([before & 0xFF])), "the first exit")
    into = guest.run_to(Io)
    expect(into, Io(0x11, 1, 1, False, b""), "the second exit")
    guest.vcpu.page.reply_io(b"\x99")
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rax, before & ~0xFF | 0x99, "RAX")
    return "MOV, OUT, IN and HLT"


@probe("16-bit real mode")
def real_mode(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _REAL)
    guest.vcpu.set_regs(replace(guest.vcpu.get_regs(), rax=0))
    return _out_in_hlt(guest, 0x1234)


@probe("real mode with 4 GiB segments (unreal mode)")
def unreal_mode(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _UNREAL)
    guest.word(0x12344, _MAGIC, 4)
    sregs = guest.vcpu.get_sregs()
    sregs.ds = flat_data(0)
    guest.vcpu.set_sregs(sregs)
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rax, _MAGIC, "what was read above 64 KiB")
    return "a read above 64 KiB"


@probe("32-bit protected mode without paging")
def protected_mode(stack: ExitStack, system: System) -> str:
    return _out_in_hlt(Guest(stack, system, Entry.PROTECTED, _PROTECTED), _MAGIC)


def _through_alias(guest: Guest) -> str:
    """The code reads DATA through the second page, which maps to the first."""
    guest.word(DATA, _MAGIC, 4)
    _out_in_hlt(guest, _MAGIC)
    return "a read through a page that is mapped elsewhere"


@probe("32-bit paging (4 MiB pages)")
def paging32(stack: ExitStack, system: System) -> str:
    return _through_alias(Guest(stack, system, Entry.PAGING32, _READ_ALIAS_4M))


@probe("PAE paging (2 MiB pages)")
def pae_paging(stack: ExitStack, system: System) -> str:
    return _through_alias(Guest(stack, system, Entry.PAE, _READ_ALIAS_2M))


@probe("64-bit long mode, 4-level paging")
def long_mode(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _LONG)
    words = _through_alias(guest)
    expect(guest.vcpu.get_regs().rbx, 0x1122334455667788, "RBX")
    return words


@probe("switching from real to protected to long mode")
def mode_switch(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, b"")
    tables = guest.get(0x2000, 0x5000)
    guest = Guest(stack, system, Entry.REAL, _TO_PROTECTED)
    guest.put(0x2000, tables)
    guest.put(HANDLER, _TO_LONG)
    guest.put(HANDLER_2, _IN_LONG)
    guest.put(0x7100, (0x2F).to_bytes(2, "little") + GDT.to_bytes(4, "little"))
    guest.run_to(Hlt)
    expect(int.from_bytes(guest.get(DATA, 8), "little"), 0x1122334455667788, "what was stored")
    expect(guest.vcpu.get_sregs().efer & Efer.LMA, Efer.LMA, "EFER.LMA")
    return "by far jumps, GDT, CR0, CR4 and EFER"


def _int_and_back(guest: Guest, handler: bytes) -> str:
    guest.put(HANDLER, handler)
    guest.gate(0x40, HANDLER)
    guest.run_to(Hlt)
    regs = guest.vcpu.get_regs()
    expect(regs.rax, 0x5555, "RAX")
    expect((regs.rip, regs.rsp), (CODE + len(_INT_40), STACK), "where IRET led to")
    return "INT 0x40 and IRET"


@probe("INT n in protected mode")
def int_protected(stack: ExitStack, system: System) -> str:
    return _int_and_back(Guest(stack, system, Entry.PROTECTED, _INT_40), _ON_INT_PROTECTED)


@probe("INT n in long mode")
def int_long(stack: ExitStack, system: System) -> str:
    return _int_and_back(Guest(stack, system, Entry.LONG, _INT_40), _ON_INT_LONG)


@probe("#UD delivered in real mode")
def undefined_opcode(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _UD2)
    guest.put(HANDLER, _ON_UD)
    guest.gate(6, HANDLER)
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rax & 0xFF, 0x55, "AL")
    return "UD2 calls vector 6"


@probe("#PF delivered in long mode")
def page_fault(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _PAGE_FAULT)
    guest.put(HANDLER, _ON_PAGE_FAULT)
    guest.gate(14, HANDLER)
    guest.run_to(Hlt)
    regs = guest.vcpu.get_regs()
    expect((regs.rax, regs.rbx), (0x40000000, 2), "CR2 and the error code")
    return "CR2 and error code right"


@probe("ring 3 by SYSRET, back by SYSCALL")
def ring3(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _TO_USER)
    guest.put(HANDLER, _USER)
    guest.put(HANDLER_2, _ON_SYSCALL)
    sregs = guest.vcpu.get_sregs()
    sregs.efer |= Efer.SCE
    guest.vcpu.set_sregs(sregs)
    # SYSRET takes SS from bits 63:48 plus 8 and CS from them plus 16 (SDM vol. 2B, SYSRET)
    guest.vcpu.set_msrs({_STAR: 0x13 << 48 | CODE64 << 32, _LSTAR: HANDLER_2})
    guest.run_to(Hlt)
    regs = guest.vcpu.get_regs()
    expect((regs.rax, regs.rbx & 3), (0x77, 3), "RAX and the privilege level")
    return "user code ran at privilege level 3"


@probe("SHUTDOWN on a triple fault")
def triple_fault(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.PROTECTED, _NOT_AN_IDT)
    sregs = guest.vcpu.get_sregs()
    sregs.idt = DescriptorTable(0, 0)
    guest.vcpu.set_sregs(sregs)
    guest.run_to(Shutdown)
    return "UD2 without an IDT"
