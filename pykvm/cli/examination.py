"""What `pykvm doctor` finds out, and what it makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykvm.cli.failure import EXIT_FAILURE
from pykvm.errors import PykvmError
from pykvm.hostfacts import TELLING_PROBES, HostFacts, gather, kind_of_kvm

if TYPE_CHECKING:
    from pykvm.kvm.probes import ProbeResult

NEEDED = ("real_mode", "kick")
"""Without these, nothing that pykvm does makes sense."""


class Examination(NamedTuple):
    """What the doctor found.

    Attributes:
        facts: what the host shows.
        error: why KVM cannot be used; None if it can.
        api_version: of the KVM API; 0 where there is none.
        capabilities: every capability's value, by name.
        probes: what each probe found.
        descriptions: what each probe is about, by its name.
    """

    facts: HostFacts
    error: PykvmError | None
    api_version: int
    capabilities: dict[str, int]
    probes: tuple[ProbeResult, ...]
    descriptions: dict[str, str]

    @property
    def failed(self) -> tuple[ProbeResult, ...]:
        """The probes for what does not work here."""
        return tuple(probe for probe in self.probes if not probe.ok)

    @property
    def usable(self) -> bool:
        """Whether pykvm can run guests."""
        return self.error is None and not any(probe.name in NEEDED for probe in self.failed)

    @property
    def status(self) -> int:
        """The exit status."""
        return 0 if self.usable else EXIT_FAILURE


def examine() -> Examination:
    """Look at the host, ask KVM, and probe."""
    facts = gather()
    version, capabilities, results, descriptions = 0, {}, [], {}
    error: PykvmError | None = None
    try:
        from pykvm.kvm import probes
        from pykvm.kvm.system import System
        from pykvm.kvm.vm import Vm

        with System() as system:
            version = system.api_version()
            capabilities = system.capabilities()
            with Vm(system):
                pass  # that fails where another hypervisor holds the processor
            descriptions = {p.name: p.description for p in probes.all_probes().values()}
            results = list(probes.results(system))
    except PykvmError as reason:
        error = reason
    return Examination(facts, error, version, capabilities, tuple(results), descriptions)


def nature(found: Examination) -> tuple[str, list[str]]:
    """What kind of KVM it is, and what that is judged by.

    Returns:
        "hardware", "nested", "emulating" or "unknown", and sentences.
    """
    processor = found.facts.processor
    failed = {probe.name for probe in found.failed}
    why = []
    if processor.extension is None:
        why.append("the processor shows neither vmx nor svm")
    else:
        why.append(f"the processor shows {processor.extension}")
    if processor.hypervisor:
        why.append("it shows the hypervisor flag: this host is a virtual machine itself")
    if set(TELLING_PROBES) <= failed:
        why.append("simple x87 and SSE instructions fail, as no processor would")
    why += [probe.words for probe in found.probes if probe.name == "instruction_time"]
    if not found.usable:
        return "unknown", why
    return kind_of_kvm(processor, failed), why


def verdict(found: Examination) -> str:
    """What works here, and what to do about the rest."""
    if found.error is not None:
        return f"pykvm cannot run guests here: {found.error}"
    if not found.usable:
        words = next(probe.words for probe in found.failed if probe.name in NEEDED)
        return f"pykvm cannot run guests here: even the simplest one fails ({words})"
    if not found.failed:
        return "pykvm runs guests here, and every probe passes: try `pykvm run hello`"
    return (
        f"pykvm runs guests here: try `pykvm run hello`; {len(found.failed)} of "
        f"{len(found.probes)} probes fail, and guests that need what they try will crash or hang"
        + _advice(nature(found)[0])
    )


def _advice(kind: str) -> str:
    if kind == "emulating":
        return (
            "; more works on a processor that shows vmx or svm (in a virtual machine: "
            "ask for nested virtualization)"
        )
    return ""
