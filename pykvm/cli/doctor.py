"""Tell what this host's KVM can do.

Shows the processor, the kernel's modules and /dev/kvm, asks KVM for its
capabilities, and then probes: small guests show what really works.  The last
line is the verdict.

exit status:
  0    pykvm can run guests here, though perhaps not all kinds
  125  it cannot; the last line says why and what to type
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykvm.cli.examination import examine, nature, verdict
from pykvm.cli.streams import say
from pykvm.errors import KvmUnavailable

if TYPE_CHECKING:
    import argparse

    from pykvm.cli.examination import Examination


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    to.add_argument(
        "--json", action="store_true", help="print one JSON object, with all capabilities"
    )


def main(args: argparse.Namespace) -> int:
    """Examine the host and tell; returns the exit status."""
    found = examine()
    if args.json:
        import json

        say(f"{json.dumps(as_object(found))}\n")
    else:
        from pykvm.cli.doctor_tables import as_tables

        say(as_tables(found))
    return found.status


def as_object(found: Examination) -> dict[str, Any]:
    """The JSON object of `--json`; docs/json.md explains its members."""
    kind, why = nature(found)
    facts = found.facts
    members: dict[str, Any] = {
        "status": found.status,
        "verdict": verdict(found),
        "kernel": facts.kernel,
        "machine": facts.machine,
        "processor": facts.processor._asdict(),
        "modules": {
            module.name: {"loaded": module.loaded, "parameters": module.parameters}
            for module in facts.modules
        },
        "device": facts.node._asdict(),
        "kind": kind,
        "kind_why": why,
        "api_version": found.api_version,
        "capabilities": found.capabilities,
        "probes": [
            {
                "name": probe.name,
                "description": found.descriptions[probe.name],
                "ok": probe.ok,
                "words": probe.words,
                "seconds": probe.ns / 1e9,
            }
            for probe in found.probes
        ],
    }
    if found.error is not None:
        members["error"] = str(found.error)
    if isinstance(found.error, KvmUnavailable):
        members["cause"] = found.error.cause
    return members
