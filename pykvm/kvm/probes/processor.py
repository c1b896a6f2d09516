"""Probes: instruction sets and hypercalls."""

from __future__ import annotations

from contextlib import ExitStack

from pykvm.kvm.capabilities import Capability
from pykvm.kvm.exits import Hlt, Rdmsr
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import DATA, Entry, Guest, code, expect
from pykvm.kvm.system import System
from pykvm.x86 import Cr4

_NO_SUCH_HYPERCALL = (1 << 64) - 1000
_MSR_UNKNOWN = 2

_X87 = code(
    "db e3",  # fninit
    "d9 e8",  # fld1
    "d9 e8",  # fld1
    "de c1",  # faddp
    "db 1c 25 00 70 00 00",  # fistp dword ptr [0x7000]
    "f4",  # hlt
)
_SSE = code(
    "b8 03 00 00 00",  # mov eax, 3
    "f2 0f 2a c0",  # cvtsi2sd xmm0, eax
    "f2 0f 59 c0",  # mulsd xmm0, xmm0
    "f2 0f 2c c0",  # cvttsd2si eax, xmm0
    "f4",  # hlt
)
_AVX = code(
    "31 c9",  # xor ecx, ecx
    "31 d2",  # xor edx, edx
    "b8 07 00 00 00",  # mov eax, 7
    "0f 01 d1",  # xsetbv
    "c5 fd 76 c0",  # vpcmpeqd ymm0, ymm0, ymm0
    "c5 fd d7 c0",  # vpmovmskb eax, ymm0
    "f4",  # hlt
)
_CMPXCHG16B = code(
    "bf 00 70 00 00",  # mov edi, 0x7000
    "31 c0",  # xor eax, eax
    "31 d2",  # xor edx, edx
    "bb 55 00 00 00",  # mov ebx, 0x55
    "31 c9",  # xor ecx, ecx
    "f0 48 0f c7 0f",  # lock cmpxchg16b xmmword ptr [rdi]
    "f4",  # hlt
)
_LOCKED = code(
    "bf 00 70 00 00",  # mov edi, 0x7000
    "bb 05 00 00 00",  # mov ebx, 5
    "31 c0",  # xor eax, eax
    "f0 0f b1 1f",  # lock cmpxchg dword ptr [rdi], ebx
    "f0 0f c1 07",  # lock xadd dword ptr [rdi], eax
    "f0 0f ba 2f 07",  # lock bts dword ptr [rdi], 7
    "8b 07",  # mov eax, dword ptr [rdi]
    "f4",  # hlt
)
_SELF_MODIFYING = code(
    "c6 04 25 0b 10 00 00 2a",  # mov byte ptr [0x100b], 0x2a
    "eb 00",  # jmp 2f
    "b0 11",  # mov al, 0x11
    "f4",  # hlt
)
_VMCALL = code(
    "b8 63 00 00 00",  # mov eax, 99
    "0f 01 c1",  # vmcall
    "f4",  # hlt
)
_VMMCALL = code(
    "b8 63 00 00 00",  # mov eax, 99
    "0f 01 d9",  # vmmcall
    "f4",  # hlt
)
_CPUID = code(
    "b8 01 00 00 00",  # mov eax, 1
    "0f a2",  # cpuid
    "89 c8",  # mov eax, ecx
    "f4",  # hlt
)
_RDMSR = code(
    "b9 45 23 01 00",  # mov ecx, 0x12345
    "0f 32",  # rdmsr
    "f4",  # hlt
)


def _rax_at_hlt(guest: Guest) -> int:
    guest.run_to(Hlt)
    return guest.vcpu.get_regs().rax


@probe("x87 floating point")
def x87(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _X87)
    guest.run_to(Hlt)
    expect(int.from_bytes(guest.get(DATA, 4), "little"), 2, "1 + 1")
    return "1 + 1 is 2"


@probe("SSE2 arithmetic")
def sse(stack: ExitStack, system: System) -> str:
    expect(_rax_at_hlt(Guest(stack, system, Entry.LONG, _SSE)), 9, "3 * 3")
    return "3 * 3 is 9"


@probe("AVX2")
def avx(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _AVX)
    sregs = guest.vcpu.get_sregs()
    sregs.cr4 |= Cr4.OSXSAVE
    guest.vcpu.set_sregs(sregs)
    expect(_rax_at_hlt(guest), 0xFFFFFFFF, "the mask of equal bytes")
    return "32 bytes compared at once"


@probe("LOCK CMPXCHG, XADD and BTS")
def locked(stack: ExitStack, system: System) -> str:
    expect(_rax_at_hlt(Guest(stack, system, Entry.LONG, _LOCKED)), 0x85, "the word in memory")
    return "read-modify-write on memory"


@probe("CMPXCHG16B")
def cmpxchg16b(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _CMPXCHG16B)
    guest.run_to(Hlt)
    expect(guest.get(DATA, 16), b"\x55" + bytes(15), "the 16 bytes")
    return "16 bytes exchanged"


@probe("self-modifying code")
def self_modifying(stack: ExitStack, system: System) -> str:
    expect(_SELF_MODIFYING[0x0B], 0x11, "the byte that the code patches")
    expect(_rax_at_hlt(Guest(stack, system, Entry.LONG, _SELF_MODIFYING)) & 0xFF, 0x2A, "AL")
    return "a patched MOV does as patched"


def _hypercall(guest: Guest) -> str:
    expect(_rax_at_hlt(guest), _NO_SUCH_HYPERCALL, "RAX")
    return "an unknown hypercall is refused (-1000)"


@probe("VMCALL (Intel's hypercall)")
def vmcall(stack: ExitStack, system: System) -> str:
    return _hypercall(Guest(stack, system, Entry.LONG, _VMCALL))


@probe("VMMCALL (AMD's hypercall)")
def vmmcall(stack: ExitStack, system: System) -> str:
    return _hypercall(Guest(stack, system, Entry.LONG, _VMMCALL))


@probe("RDMSR given to the host")
def msr_exits(stack: ExitStack, system: System) -> str:
    system.require(Capability.X86_USER_SPACE_MSR)
    guest = Guest(
        stack,
        system,
        Entry.LONG,
        _RDMSR,
        prepare=lambda vm: vm.enable_cap(Capability.X86_USER_SPACE_MSR, _MSR_UNKNOWN),
    )
    expect(guest.run_to(Rdmsr), Rdmsr(0x12345, _MSR_UNKNOWN), "the exit")
    guest.vcpu.page.reply_msr(0x99)
    expect(_rax_at_hlt(guest), 0x99, "RAX")
    return "the host's answer reaches the guest"


@probe("CPUID without a feature that was left out")
def cpuid_left_out(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _CPUID)
    table = system.supported_cpuid_raw()
    for entry in table.entries[0 : table.nent]:
        if entry.function == 1:
            entry.ecx = 0
    guest.vcpu.set_cpuid2(table)
    expect(_rax_at_hlt(guest), 0, "leaf 1 ECX")
    return "what KVM_SET_CPUID2 leaves out, the guest does not find"
