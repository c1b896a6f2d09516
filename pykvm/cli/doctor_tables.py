"""The tables of `pykvm doctor`, for 80 columns and more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pykvm.cli.examination import nature, verdict

if TYPE_CHECKING:
    from pykvm.cli.examination import Examination
    from pykvm.hostfacts import Module, Node

USED = (
    "USER_MEMORY",
    "NR_MEMSLOTS",
    "READONLY_MEM",
    "SYNC_MMU",
    "MANUAL_DIRTY_LOG_PROTECT2",
    "DIRTY_LOG_RING",
    "SET_TSS_ADDR",
    "SET_IDENTITY_MAP_ADDR",
    "NR_VCPUS",
    "MAX_VCPUS",
    "IMMEDIATE_EXIT",
    "SYNC_REGS",
    "EXT_CPUID",
    "XSAVE",
    "XSAVE2",
    "XCRS",
    "VCPU_EVENTS",
    "DEBUGREGS",
    "MP_STATE",
    "SET_GUEST_DEBUG",
    "GET_TSC_KHZ",
    "X86_USER_SPACE_MSR",
    "IRQCHIP",
    "SPLIT_IRQCHIP",
    "PIT2",
    "PIT_STATE2",
    "IRQ_ROUTING",
    "IRQFD",
    "SIGNAL_MSI",
    "IOEVENTFD",
    "COALESCED_MMIO",
    "COALESCED_PIO",
)
"""The capabilities that pykvm has a use for, without KVM_CAP_."""

PARAMETERS = ("nested", "ept", "npt", "unrestricted_guest")
"""The module parameters that matter most; --json has all."""


def as_tables(found: Examination) -> str:
    """What the doctor found, for the terminal or whatever standard output is."""
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(_host(found))
        if found.capabilities:
            console.print(_capabilities(found.capabilities))
        if found.probes:
            console.print(_probes(found))
        console.print(Text(f"verdict: {verdict(found)}", style="bold"))
    return captured.get()


def _host(found: Examination) -> Table:
    facts = found.facts
    table = Table(box=SIMPLE, show_header=False, title="Host", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    rows = [
        ("kernel", facts.kernel or "unknown"),
        ("machine", facts.machine or "unknown"),
        ("processor", facts.processor.model or "unknown"),
        *((module.name, _module(module)) for module in facts.modules),
        (facts.node.path, _node(facts.node)),
    ]
    if found.api_version:
        rows.append(("KVM API", f"version {found.api_version}"))
    kind, why = nature(found)
    rows.append(("kind of KVM", kind))
    for label, words in rows:
        table.add_row(label, Text(words))
    for words in why:
        table.add_row("", Text(words))
    return table


def _module(module: Module) -> str:
    if not module.loaded:
        return "not loaded"
    shown = [f"{p}={module.parameters[p]}" for p in PARAMETERS if p in module.parameters]
    return " ".join(["loaded", *shown])


def _node(node: Node) -> str:
    if not node.exists:
        return "missing"
    if not node.is_device:
        return f"not a device ({node.mode})"
    who = "you may" if node.openable else "you may not"
    return f"{node.mode} owner {node.owner}, group {node.group}: {who} open it"


def _capabilities(values: dict[str, int]) -> Table:
    table = Table(
        box=SIMPLE,
        show_header=False,
        title="Capabilities that pykvm uses (all: --json)",
        title_justify="left",
    )
    for _ in range(2):
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    cells = [(name, str(values.get(f"KVM_CAP_{name}", 0))) for name in USED]
    half = (len(cells) + 1) // 2
    for left, right in zip(cells[:half], [*cells[half:], ("", "")], strict=False):
        table.add_row(*left, *right)
    return table


def _probes(found: Examination) -> Table:
    table = Table(box=SIMPLE, title="Probes", title_justify="left", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("what", max_width=31)
    table.add_column("seen")
    table.add_column("ms", justify="right", no_wrap=True)
    for probe in found.probes:
        table.add_row(
            Text("yes", style="green") if probe.ok else Text("no", style="red"),
            Text(found.descriptions[probe.name]),
            Text(probe.words),
            f"{probe.ns / 1e6:.1f}",
        )
    return table
