"""Processor features by the names that /proc/cpuinfo has for them.

Only those who choose features pay for this module: plain `host` does not import it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from pykvm.errors import CpuModelError


class Bit(NamedTuple):
    """A bit that CPUID gives: leaf, sub-leaf, "eax" to "edx", and its number from 0."""

    function: int
    subleaf: int
    register: str
    number: int


TABLE: dict[tuple[int, int, str], str] = {
    (0x1, 0, "edx"): (
        "fpu vme de pse tsc msr pae mce cx8 apic . sep mtrr pge mca cmov "
        "pat pse36 pn clflush . dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe"
    ),
    (0x1, 0, "ecx"): (
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm "
        ". pcid dca sse4_1 sse4_2 x2apic movbe popcnt "
        "tsc_deadline_timer aes xsave . avx f16c rdrand hypervisor"
    ),
    (0x6, 0, "eax"): (
        "dtherm ida arat . pln . pts hwp hwp_notify hwp_act_window hwp_epp hwp_pkg_req . . . . "
        ". . . hfi"
    ),
    (0x6, 0, "ecx"): "aperfmperf . . epb",
    (0x7, 0, "ebx"): (
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 . smep bmi2 erms invpcid rtm cqm . mpx rdt_a "
        "avx512f avx512dq rdseed adx smap avx512ifma . clflushopt "
        "clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"
    ),
    (0x7, 0, "ecx"): (
        ". avx512vbmi umip pku ospke waitpkg avx512_vbmi2 user_shstk "
        "gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq . "
        "la57 . . . . . rdpid . bus_lock_detect cldemote . movdiri movdir64b enqcmd sgx_lc ."
    ),
    (0x7, 0, "edx"): (
        ". . avx512_4vnniw avx512_4fmaps fsrm . . . avx512_vp2intersect . md_clear . . . "
        "serialize . tsxldtrk . pconfig arch_lbr ibt . amx_bf16 avx512_fp16 "
        "amx_tile amx_int8 . . flush_l1d arch_capabilities . ."
    ),
    (0x7, 1, "eax"): (
        "sha512 sm3 sm4 . avx_vnni avx512_bf16 lass cmpccxadd . . fzrm fsrs fsrc . . . "
        ". fred lkgs wrmsrns . amx_fp16 . avx_ifma . . lam"
    ),
    (0xD, 1, "eax"): "xsaveopt xsavec xgetbv1 xsaves",
    (0x80000001, 0, "edx"): (
        ". . . . . . . . . . . syscall . . . . "
        ". . . mp nx . mmxext . . fxsr_opt pdpe1gb rdtscp . lm 3dnowext 3dnow"
    ),
    (0x80000001, 0, "ecx"): (
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse "
        "3dnowprefetch osvw ibs xop skinit wdt . lwp "
        "fma4 tce . nodeid_msr . tbm topoext perfctr_core "
        "perfctr_nb . bpext ptsc perfctr_llc mwaitx"
    ),
    (0x80000007, 0, "ebx"): "overflow_recov succor . smca",
    (0x80000007, 0, "edx"): ". . . . . . . hw_pstate . cpb . proc_feedback acc_power",
    (0x80000008, 0, "ebx"): (
        "clzero irperf xsaveerptr . rdpru . . . . wbnoinvd . . . . . . "
        ". . . . . . . amd_ppin . virt_ssbd . cppc . . . brs"
    ),
    (0x8000000A, 0, "edx"): (
        "npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists "
        ". . pausefilter . pfthreshold avic . v_vmsave_vmload "
        "vgif . x2avic . v_spec_ctrl . . . . vnmi"
    ),
    (0x8000001F, 0, "eax"): "sme sev . sev_es sev_snp . . . . . . . . . debug_swap",
}
"""Leaf, sub-leaf, register and the names of its bits, lowest first; "." has none.

The bits are those of SDM vol. 2A, CPUID, and APM vol. 3, appendix E; the names are Linux's
(arch/x86/include/asm/cpufeatures.h), some that it has but does not show in leaf 7.1 included.
"""

_SPEC_CTRL = Bit(0x7, 0, "edx", 26)
_INVARIANT_TSC = Bit(0x80000007, 0, "edx", 8)

SYNTHETIC: dict[str, tuple[Bit, ...]] = {
    "ibrs": (_SPEC_CTRL, Bit(0x80000008, 0, "ebx", 14)),
    "ibpb": (_SPEC_CTRL, Bit(0x80000008, 0, "ebx", 12)),
    "stibp": (Bit(0x7, 0, "edx", 27), Bit(0x80000008, 0, "ebx", 15)),
    "ssbd": (Bit(0x7, 0, "edx", 31), Bit(0x80000008, 0, "ebx", 24)),
    "constant_tsc": (_INVARIANT_TSC,),
    "nonstop_tsc": (_INVARIANT_TSC,),
}
"""Names that stand for one bit or another: Intel's and AMD's, or two names for one bit."""

_AMD_DUPLICATES = 0x0183F3FF
"""Bits of leaf 1 EDX that AMD gives in leaf 0x80000001 EDX once more."""

NOT_CHOSEN = {
    "apic": "KVM has it follow IA32_APIC_BASE, which the guest writes",
    "ospke": "KVM has it follow the guest's CR4",
    "ht": "it follows the number of processors",
    "cmp_legacy": "it follows the number of processors",
}
"""Features that somebody else decides, and who."""

_NEEDS_LAPIC = frozenset({"x2apic", "tsc_deadline_timer"})

_AVX512, _CET, _AMX = ("avx512f",), ("user_shstk", "ibt"), ("amx_tile",)

XSTATE: dict[int, tuple[str, ...]] = {
    2: ("avx",),
    3: ("mpx",),
    4: ("mpx",),
    5: _AVX512,
    6: _AVX512,
    7: _AVX512,
    8: ("intel_pt",),
    9: ("pku",),
    11: _CET,
    12: _CET,
    15: ("arch_lbr",),
    17: _AMX,
    18: _AMX,
}
"""The state components of XCR0 and IA32_XSS, and the features that they are for; one is enough
(SDM vol. 1, 13.1)."""

_LEGACY_AREA_AND_HEADER = 576  # bytes, before the first component (SDM vol. 1, 13.4)


@cache
def all_bits() -> dict[str, tuple[Bit, ...]]:
    """Every known name with its bits; any of them makes the feature."""
    known: dict[str, tuple[Bit, ...]] = {
        name: (Bit(*register, number),)
        for register, names in TABLE.items()
        for number, name in enumerate(names.split())
        if name != "."
    }
    for name, (bit, *_) in known.items():
        if bit[:3] == (0x1, 0, "edx") and _AMD_DUPLICATES >> bit.number & 1:
            known[name] = (bit, bit._replace(function=0x80000001))
    return known | SYNTHETIC


def check_choice(name: str) -> None:
    """Raise `CpuModelError` unless `name` is a feature that users may choose."""
    if name in NOT_CHOSEN:
        raise CpuModelError(f"cpu feature {name!r} cannot be chosen: {NOT_CHOSEN[name]}")
    if name in all_bits():
        return
    from difflib import get_close_matches

    close = get_close_matches(name, all_bits(), n=1)
    hint = f"did you mean {close[0]}?" if close else "see the flags in /proc/cpuinfo"
    raise CpuModelError(f"cpu feature {name!r}: there is none of that name: {hint}")


def features_in(table: Any) -> list[str]:
    """The names of all features that a `struct kvm_cpuid2 *` gives."""
    leaves = _leaves(table)
    return [name for name, bits in all_bits().items() if any(_is_set(leaves, b) for b in bits)]


def apply(table: Any, features: tuple[tuple[str, bool], ...], *, lapic: bool) -> None:
    """Check that `table` has each feature that is wanted, and take away what is not.

    Args:
        table: `struct kvm_cpuid2 *`, with all that the host's KVM can give.
        features: names and whether the guest shall have them.
        lapic: as in `cpuid_for`, for the message.

    Raises:
        CpuModelError: a feature that is wanted is not there.
    """
    leaves = _leaves(table)
    for name, wanted in features:
        if wanted and not any(_is_set(leaves, bit) for bit in all_bits()[name]):
            raise CpuModelError(_why_missing(name, lapic=lapic))
    removed = {name for name, wanted in features if not wanted}
    for name in removed:
        for bit in all_bits()[name]:
            entry = leaves.get((bit.function, bit.subleaf))
            if entry is not None:
                setattr(entry, bit.register, getattr(entry, bit.register) & ~(1 << bit.number))
    _fit_xstate(leaves, removed)


def _why_missing(name: str, *, lapic: bool) -> str:
    if name in _NEEDS_LAPIC and not lapic:
        return f"cpu feature {name!r} needs KVM's local APIC, and this machine has none"
    return f"cpu feature {name!r}: this host's KVM does not offer it to guests"


def _leaves(table: Any) -> dict[tuple[int, int], Any]:
    return {(entry.function, entry.index): entry for entry in table.entries[0 : table.nent]}


def _is_set(leaves: dict[tuple[int, int], Any], bit: Bit) -> bool:
    entry = leaves.get((bit.function, bit.subleaf))
    return entry is not None and bool(getattr(entry, bit.register) >> bit.number & 1)


def _fit_xstate(leaves: dict[tuple[int, int], Any], removed: set[str]) -> None:
    """Have leaf 0xD tell of no state whose features are all gone (SDM vol. 2A, CPUID)."""
    user, supervisor = leaves.get((0xD, 0)), leaves.get((0xD, 1))
    if user is None:
        return
    if "xsave" in removed:
        for (function, _), entry in leaves.items():
            if function == 0xD:
                entry.eax = entry.ebx = entry.ecx = entry.edx = 0
        return
    gone = 0
    for component, names in XSTATE.items():
        left = any(_is_set(leaves, bit) for name in names for bit in all_bits()[name])
        if removed.intersection(names) and not left:
            gone |= 1 << component
    if supervisor is not None:
        supervisor.ecx &= ~gone
        if "xsaves" in removed:
            gone |= supervisor.ecx  # IA32_XSS comes with XSAVES
            supervisor.ecx = supervisor.edx = 0
    if not gone:
        return
    user.eax &= ~gone
    end = _LEGACY_AREA_AND_HEADER
    for (function, component), entry in leaves.items():
        if function != 0xD or component < 2:
            continue
        if gone >> component & 1:
            entry.eax = entry.ebx = entry.ecx = entry.edx = 0
        elif user.eax >> component & 1:
            end = max(end, entry.ebx + entry.eax)
    user.ecx = end
