"""The tables of `pykvm bench`, for 80 columns and more."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pykvm.bench.result import Measure, Skipped, Spread, Verdict

if TYPE_CHECKING:
    from pykvm.bench.result import Ratio, Result

GROUP = 1000


def as_tables(result: Result) -> str:
    """What a benchmark found, for the terminal or whatever standard output is."""
    console = Console(highlight=False)
    skipped = [row for row in result.rows if isinstance(row, Skipped)]
    measured = [row for row in result.rows if isinstance(row, Measure)]
    with console.capture() as captured:
        console.print(Text(_host(result)))
        for unit in dict.fromkeys(row.unit for row in measured):
            console.print(_figures([row for row in measured if row.unit == unit], unit))
        if result.scale:
            console.print(_scale(result.scale))
        if skipped:
            console.print(_skipped(skipped))
        if result.host.get("stamp_words"):
            console.print(Text(f"note: {result.host['stamp_words']}"))
        console.print(Text(f"verdict: {result.verdict.words}", style="bold"))
    return captured.get()


def _host(result: Result) -> str:
    host = result.host
    where = "" if host["cpu"] is None else f", on processor {host['cpu']}"
    kind = f"{host['kvm']} KVM; " if "kvm" in host else ""
    return (
        f"{host['processor']} x {host['processors']}{where}, governor {host['governor']}; {kind}"
        f"Linux {host['kernel']}; Python {host['python']}; load {host['load']}"
    )


def middle_of(row: Measure) -> Spread:
    """The rounds taken together: the median of each figure."""
    return Spread(*(median(values) for values in zip(*(r.total for r in row.rounds), strict=True)))


def _figures(rows: list[Measure], unit: str) -> Table:
    """A table of what has the same unit; the last two columns only where anything stands there."""
    has_parts = any(round.outside.p50 or round.ticks.p50 for row in rows for round in row.rounds)
    parts = "; user: userspace's part of p50; ticks: p50, TSC" if has_parts else ""
    table = Table(
        box=SIMPLE,
        title=f"{unit} for one{parts}",
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("kind", no_wrap=True)
    names = ["min", "p50", "p90", "p99", "p99.9", "max"]
    names += ["user", "ticks"] if has_parts else ["in 1 s"] if unit == "ns" else []
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        if not row.verdict.stable:
            words = Text(brief(row.verdict), style="yellow")
            table.add_row(row.kind, words, *[""] * (len(names) - 1))
            continue
        outside = median(round.outside.p50 for round in row.rounds)
        ticks = median(round.ticks.p50 for round in row.rounds)
        cells = [short(value) for value in middle_of(row)]
        if has_parts:
            cells += [short(outside) if outside else "-", short(ticks) if ticks else "-"]
        elif unit == "ns":
            middle = middle_of(row).p50
            cells.append(short(1e9 / middle) if middle else "-")
        table.add_row(row.kind, *cells)
    return table


def brief(verdict: Verdict) -> str:
    """Why there are no figures, in a word as short as they are: "noisy", "small" or "round"."""
    return verdict.words.partition(":")[0].rpartition(" ")[2]


def short(ns: float) -> str:
    """A number in at most five characters, three digits or more of it: 812, 12.3k, 4.09M."""
    # the limits are where rounding would take one digit more
    if ns < 9.95:
        return f"{ns:.1f}"
    if ns < 9999.5:
        return f"{ns:.0f}"
    value, units = ns / GROUP, ["G", "M", "k"]
    while value >= 999.5 and len(units) > 1:
        value /= GROUP
        units.pop()
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{units[-1]}"


def _scale(ratios: list[Ratio]) -> Table:
    bases = {ratio.base for ratio in ratios}
    against = f" against {ratios[0].base}," if len(bases) == 1 else ""
    table = Table(
        box=SIMPLE,
        title=f"The scale:{against} pair by pair",
        title_justify="left",
        pad_edge=False,
    )
    table.add_column()
    for name in ("median", "95 % within", "pairs", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    for ratio in ratios:
        name = ratio.name if len(bases) == 1 else f"{ratio.name} / {ratio.base}"
        if ratio.skipped:
            table.add_row(name, Text(ratio.skipped))
            continue
        low, high = _number(ratio.low, ratio.unit), _number(ratio.high, ratio.unit)
        table.add_row(
            name,
            _amount(ratio.value, ratio.unit),
            f"{low} to {high}",
            str(ratio.pairs),
            _goal(ratio),
        )
    return table


def _goal(ratio: Ratio) -> Text:
    if ratio.goal is None:
        return Text("")
    met = ratio.value <= ratio.goal
    amount = f"{ratio.goal:.2f} x" if ratio.unit == "x" else f"+{ratio.goal:.0f} ns"
    return Text(f"{amount}: {'met' if met else 'MISSED'}", style="green" if met else "red")


def _amount(value: float, unit: str) -> str:
    return f"{_number(value, unit)} {unit}"


def _number(value: float, unit: str) -> str:
    return f"{value:.3f}" if unit == "x" else f"{value:+.0f}"


def _skipped(rows: list[Skipped]) -> Table:
    table = Table(box=SIMPLE, title="Not on this host", title_justify="left", pad_edge=False)
    table.add_column("kind", no_wrap=True)
    table.add_column("why")
    for row in rows:
        table.add_row(row.kind, Text(row.reason))
    return table
