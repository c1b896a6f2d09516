"""Probes: micro-guests that show what the host's KVM and processor really do.

KVM_CHECK_EXTENSION says what the API offers, not what the processor behind it does: hosts that
nest or emulate may lack paging, x87 or breakpoints.  Each probe runs a few instructions with a
deadline, as some of what does not work hangs.  `pykvm doctor` shows them, and tests that need
something skip with the words of its probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import NamedTuple

from pykvm.errors import PykvmError
from pykvm.kvm.system import System

_MODULES = ("modes", "processor", "debug", "memory", "interrupts", "speed")

Check = Callable[[ExitStack, System], str]
"""A probe's work: returns words for what it saw, or raises `Failed`."""


class ProbeResult(NamedTuple):
    """What a probe found.

    Attributes:
        name: the probe's.
        ok: whether the host does it.
        words: one line: what was seen, or what went wrong.
        ns: how long it took.
    """

    name: str
    ok: bool
    words: str
    ns: int


class Probe(NamedTuple):
    """One thing to find out.

    Attributes:
        name: for `pytest.mark.needs` and for programs.
        description: one line, for people.
        check: what finds out.
    """

    name: str
    description: str
    check: Check

    def run(self, system: System) -> ProbeResult:
        """Find out now; what fails in KVM itself is a result too, not an error."""
        from pykvm.kvm.probes.bench import Failed

        start = time.perf_counter_ns()
        ok = False
        try:
            with ExitStack() as stack:
                words = self.check(stack, system)
            ok = True
        except (Failed, PykvmError) as error:
            words = str(error)
        return ProbeResult(self.name, ok, words, time.perf_counter_ns() - start)


_probes: dict[str, Probe] = {}
_results: dict[str, ProbeResult] = {}


def probe(description: str) -> Callable[[Check], Check]:
    """Make the function below it a probe of the same name."""

    def register(check: Check) -> Check:
        name = check.__name__
        _probes[name] = Probe(name, description, check)
        return check

    return register


def all_probes() -> dict[str, Probe]:
    """Every probe by name, in the order to show them."""
    for module in _MODULES:
        import_module(f"{__name__}.{module}")
    return _probes


def result(system: System, name: str) -> ProbeResult:
    """What the probe `name` finds on this host; run once in a process.

    Raises:
        KeyError: there is no such probe.
    """
    if name not in _results:
        _results[name] = all_probes()[name].run(system)
    return _results[name]


def results(system: System) -> Iterator[ProbeResult]:
    """The results of all probes, one by one as they come."""
    for name in all_probes():
        yield result(system, name)
