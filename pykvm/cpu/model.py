"""The processor that a guest finds: what CPUID tells each of them, and how users choose it.

Some bits are KVM's own while the guest runs, whatever is set here: OSXSAVE and OSPKE follow the
guest's CR4, APIC follows IA32_APIC_BASE, and the XSAVE area's size in leaf 0xD follows XCR0 and
IA32_XSS.
"""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.cpu.topology import MAX_COUNT, SPARE_ENTRIES, find_leaves, set_topology
from pykvm.errors import CpuModelError
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

_X2APIC, _TSC_DEADLINE, _HYPERVISOR = 1 << 21, 1 << 24, 1 << 31  # leaf 1 ECX

_KVM_FEATURES = 0x40000001
_NEED_LAPIC = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14
"""Of its EAX (KVM's cpuid.rst), what wants a local APIC in the kernel: asynchronous page faults (4,
10, 14), paravirtual ends of interrupts (6), spinlocks that halt till another processor's hypercall
(7), inter-processor interrupts (11) and yields (13)."""


class CpuModel(NamedTuple):
    """A processor to choose: the host's, more or less.

    Attributes:
        features: names as in /proc/cpuinfo, and whether the guest shall have each.
    """

    features: tuple[tuple[str, bool], ...] = ()

    def __str__(self) -> str:
        """As `parse_cpu` takes it."""
        return ",".join(["host", *("-+"[on] + name for name, on in self.features)])


HOST = CpuModel()
"""All that the host's KVM can give a guest."""


def parse_cpu(text: str) -> CpuModel:
    """Make a model of text like "host,+avx2,-sse4_2,-x2apic".

    `+name` insists on a feature, `-name` takes it away; of two about the same name the later one
    counts.  Features that build on one taken away stay as they are: "host,-sse2" has AVX, which
    no processor is.  Guests cope as they can; Linux drops what lacks its base.  Only the state
    that XSAVE keeps follows its feature: without AVX there is no such state in leaf 0xD.

    Raises:
        CpuModelError: the text is malformed, a name is unknown, or not the user's to choose.
    """
    base, *changes = (part.strip() for part in text.split(","))
    if base != "host":
        raise CpuModelError(f"cpu model {base!r}: the only one is host, as in host,-avx2")
    if not changes:
        return HOST
    from pykvm.cpu.features import check_choice

    chosen: dict[str, bool] = {}
    for change in changes:
        sign, name = change[:1], change[1:]
        if sign not in ("+", "-"):
            raise CpuModelError(f"cpu feature {change!r}: put + or - in front of it")
        check_choice(name)
        chosen[name] = sign == "+"
    return CpuModel(tuple(chosen.items()))


def cpuid_for(
    supported: Any,
    index: int,
    count: int,
    *,
    lapic: bool,
    tsc_deadline: bool = True,
    model: CpuModel = HOST,
) -> Any:
    """The CPUID leaves of one processor, for `Vcpu.set_cpuid2`.

    It costs some ten microseconds; `System.supported_cpuid_raw` costs as much as the host needs
    for all its CPUID instructions, milliseconds where they trap: ask once for all processors.

    Args:
        supported: what `System.supported_cpuid_raw` gave; it is not changed.
        index: the processor's number from 0, which is its APIC id.
        count: how many the machine has, 1 to `MAX_COUNT`.
        lapic: KVM plays its local APIC (KVM_CREATE_IRQCHIP, or KVM_CAP_SPLIT_IRQCHIP).  Only then
            are there x2APIC and TSC-deadline mode (KVM API 4.46), and what of KVM's paravirtual
            features interrupts, or waits for interrupts.
        tsc_deadline: what KVM_CAP_TSC_DEADLINE_TIMER says.
        model: what to add and leave out.

    Returns:
        A `struct kvm_cpuid2 *`.

    Raises:
        CpuModelError: the model wants a feature that there is not.
        ValueError: `index` or `count` out of range.
    """
    if not 0 <= index < count <= MAX_COUNT:
        raise ValueError(f"there is no processor {index} of {count} (at most {MAX_COUNT})")
    length = supported.nent
    table = ffi.new("struct kvm_cpuid2 *", {"nent": length, "entries": length + SPARE_ENTRIES})
    ffi.memmove(table.entries, supported.entries, length * ffi.sizeof("struct kvm_cpuid_entry2"))
    set_topology(table, index, count)
    _fit_apic(table, lapic=lapic, tsc_deadline=tsc_deadline)
    if model.features:
        from pykvm.cpu.features import apply

        apply(table, model.features, lapic=lapic)
    return table


def _fit_apic(table: Any, *, lapic: bool, tsc_deadline: bool) -> None:
    for _, entry in find_leaves(table, (1, _KVM_FEATURES)):
        if entry.function == _KVM_FEATURES:
            if not lapic:
                entry.eax &= ~_NEED_LAPIC
            continue
        entry.ecx |= _HYPERVISOR
        if not lapic:
            entry.ecx &= ~(_X2APIC | _TSC_DEADLINE)
        elif tsc_deadline:
            entry.ecx |= _TSC_DEADLINE
