"""A result as one page for a browser: nothing in it is fetched from elsewhere."""

from __future__ import annotations

from html import escape
from statistics import median
from typing import TYPE_CHECKING, Any

from pykvm.bench.comparison import SLOWER, UNSURE, conclusion, limits, signed
from pykvm.bench.figures import figure, three_digits, times, title_of
from pykvm.bench.page_picture import MOST_ROUNDS, overview, rounds, scale, shape
from pykvm.bench.page_style import STYLE
from pykvm.bench.result import Measure, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pykvm.bench.comparison import Comparison
    from pykvm.bench.result import Ratio, Result, Spread, Verdict

FACTS = {
    "processor": "processor",
    "processors": "processors",
    "cpu": "measured on processor",
    "machine": "machine",
    "microcode": "microcode",
    "governor": "frequency governor",
    "kernel": "Linux",
    "kvm": "kind of KVM",
    "kvm_modules": "KVM modules",
    "halt_poll_ns": "KVM polls at HLT for",
    "mitigations": "mitigations",
    "clocksource": "clock source",
    "tsc_khz": "TSC, kHz",
    "tsc_source": "TSC rate by",
    "pykvm": "pykvm",
    "python": "Python",
    "compiler": "compiler",
    "load": "load when it began",
}
"""What the facts of `Result.host` are called; others keep their names."""

COLUMNS = ("least", "median", "90 %", "99 %", "99.9 %", "most")


def as_html(result: Result, comparison: Comparison | None = None) -> str:
    """The page.  All that comes from outside is escaped.

    Args:
        result: what was measured.
        comparison: with an older result, to be shown as well.
    """
    title = escape(title_of(result))
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1><code>{title}</code></h1>",
            f'<p class="soft">{escape(result.started)} <code>{escape(result.command)}</code></p>',
            _verdict(result.verdict),
            *_overviews(result),
            *_scale(result.scale),
            *(_comparison(comparison) if comparison is not None else ()),
            *_table(result),
            *_reading(),
            *_details(result),
            *_skipped(result),
            *_host(result.host),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def measures_of(result: Result) -> list[Measure]:
    """What was measured, without what was skipped."""
    return [row for row in result.rows if isinstance(row, Measure)]


def _verdict(verdict: Verdict) -> str:
    kind = "good" if verdict.stable else "bad"
    return f'<p class="verdict {kind}">{escape(verdict.words)}.</p>'


def _overviews(result: Result) -> Iterator[str]:
    measures = measures_of(result)
    for unit in dict.fromkeys(measure.unit for measure in measures):
        alike = [measure for measure in measures if measure.unit == unit]
        yield '<figure><div class="scroll">'
        yield overview(alike)
        yield "</div><figcaption>"
        yield (
            "The dot is the median, which stands at the right; the broad line goes from the least "
            "to what 90 % do not exceed, the thin one to 99 %. The axis is logarithmic: the same "
            "distance is the same ratio everywhere."
        )
        yield "</figcaption></figure>"


def _scale(ratios: Sequence[Ratio]) -> Iterator[str]:
    if not ratios:
        return
    yield "<h2>The scale</h2>"
    yield (
        "<p>Each two were measured in turn, one right after the other, so that both saw the same "
        "host. The median of the pairs' ratios is what can be quoted and compared between hosts; "
        "it lies within the broad line with a confidence of 95 %.</p>"
    )
    drawn = [ratio for ratio in ratios if not ratio.skipped and ratio.unit == "x" and ratio.low > 0]
    if drawn:
        yield f'<figure><div class="scroll">{scale(drawn)}</div></figure>'
    yield '<div class="scroll"><table><tr><th>what / over what</th><th>ratio</th>'
    yield "<th>95 % sure</th><th>pairs</th><th>goal</th></tr>"
    for ratio in ratios:
        name = f"{escape(ratio.name)} / {escape(ratio.base)}"
        if ratio.skipped:
            yield f'<tr><td>{name}</td><td class="words" colspan="4">'
            yield f"{escape(ratio.skipped)}</td></tr>"
            continue
        value, low, high = (
            escape(times(value, ratio.unit)) for value in (ratio.value, ratio.low, ratio.high)
        )
        yield f'<tr><td>{name}</td><td class="main">{value}</td><td>{low} to {high}</td>'
        yield f"<td>{ratio.pairs}</td><td>{_goal(ratio)}</td></tr>"
    yield "</table></div>"


def _goal(ratio: Ratio) -> str:
    if ratio.goal is None:
        return ""
    kind, word = ("good", "met") if ratio.value <= ratio.goal else ("bad", "missed")
    goal = escape(times(ratio.goal, ratio.unit))
    return f'&#8804; {goal} <span class="{kind}">{word}</span>'


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield "<h2>Against the older result</h2>"
    kind = "bad" if comparison.slower else "good"
    yield f'<p class="verdict {kind}">{escape(conclusion(comparison))}.</p>'
    yield '<div class="scroll"><table><tr><th>what</th><th>old</th><th>new</th><th>change</th>'
    yield "<th>99 % sure</th><th></th></tr>"
    for change in comparison.changes:
        word = "" if change.verdict == "same" else change.verdict
        colour = {SLOWER: "bad", UNSURE: "soft"}.get(change.verdict, "good")
        yield (
            f"<tr><td>{escape(change.title)}<small>{escape(change.kind)}</small></td>"
            f"<td>{escape(figure(change.old, change.unit))}</td>"
            f"<td>{escape(figure(change.new, change.unit))}</td>"
            f'<td class="main">{signed(change.times.value)}</td><td>{limits(change.times)}</td>'
            f'<td class="{colour}">{word}</td></tr>'
        )
    yield "</table></div>"
    if comparison.notes:
        yield "<ul>"
        for note in comparison.notes:
            yield f"<li>{escape(note)}</li>"
        yield "</ul>"


def _table(result: Result) -> Iterator[str]:
    measures = measures_of(result)
    has_parts = any(round.outside.p50 for measure in measures for round in measure.rounds)
    names = (*COLUMNS, "userspace" if has_parts else "in a second")
    yield "<h2>All figures</h2>"
    yield '<div class="scroll"><table><tr><th>what</th>'
    yield "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    for measure in measures:
        cells = "".join(
            f"<td{' class=main' if name == 'median' else ''}>{escape(words)}</td>"
            for name, words in zip(names, _figures(measure, has_parts), strict=True)
        )
        mark = "" if measure.verdict.stable else ' <span class="bad">noisy</span>'
        yield (
            f"<tr><td>{escape(measure.title)}{mark}<small>{escape(measure.kind)}</small></td>"
            f"{cells}</tr>"
        )
    yield "</table></div>"


def _figures(measure: Measure, has_parts: bool) -> Iterator[str]:
    """For each column the median of the rounds."""
    totals = [round.total for round in measure.rounds]
    for name in ("minimum", "p50", "p90", "p99", "p999", "maximum"):
        yield figure(_middle(totals, name), measure.unit)
    middle = _middle(totals, "p50")
    if has_parts:
        outside = _middle([round.outside for round in measure.rounds], "p50")
        yield figure(outside, measure.unit) if outside else ""
    else:
        yield three_digits(1e9 / middle) if middle and measure.unit == "ns" else ""


def _middle(spreads: Sequence[Spread], name: str) -> float:
    values: list[float] = [getattr(spread, name) for spread in spreads]
    return median(values)


def _reading() -> Iterator[str]:
    yield "<h2>How to read this</h2>"
    for words in (
        "Each thing was measured in rounds, one after the other; a figure in the table is the "
        "median of the rounds' figures. At 90 % stands what nine of ten do not exceed. The last "
        "column has the median of userspace's part, or how many go into a second.",
        "Times have tails: look at the median to compare, at 99 % to know what a guest will meet. "
        "A mean would tell of the tail alone, and of what else the host was doing.",
        "In each picture on the left, bars show how often which time occurred, and the strong "
        "line the part of all that took no longer; where it does not reach the top, the rest lies "
        "further to the right than the picture goes. Thin lines are the single rounds: where they "
        "lie apart, the host changed meanwhile, and the figure is worth no more than the distance "
        "between them. On the right is a line for each round, from its least to its 90 %, with "
        "its median.",
        "Figures of different hosts differ by what their processors, kernels and mitigations "
        "cost; ratios, within one run, travel better. Noise only adds: of two runs of the same "
        "thing the quieter one is right.",
    ):
        yield f"<p>{escape(words)}</p>"


def _details(result: Result) -> Iterator[str]:
    yield "<h2>One by one</h2>"
    for measure in measures_of(result):
        count = sum(round.count for round in measure.rounds)
        yield "<section>"
        yield f"<h3>{escape(measure.title)} <code>{escape(measure.kind)}</code></h3>"
        yield f'<p class="soft">{escape(measure.what)}. {count} in {plural(measure)}.</p>'
        yield f'<div class="pictures"><figure>{shape(measure)}</figure>'
        yield f"<figure>{rounds(measure)}</figure></div>"
        kind = "soft" if measure.verdict.stable else "bad"
        more = len(measure.rounds) - MOST_ROUNDS
        hidden = f" {more} more rounds are not drawn." if more > 0 else ""
        yield f'<p class="{kind}">{escape(measure.verdict.words)}.{hidden}</p>'
        yield "</section>"


def plural(measure: Measure) -> str:
    """How many rounds, in words."""
    return "1 round" if len(measure.rounds) == 1 else f"{len(measure.rounds)} rounds"


def _skipped(result: Result) -> Iterator[str]:
    skipped = [row for row in result.rows if isinstance(row, Skipped)]
    if not skipped:
        return
    yield "<h2>What this host cannot do</h2>"
    yield '<div class="scroll"><table>'
    for row in skipped:
        yield f"<tr><td>{escape(row.title)}<small>{escape(row.kind)}</small></td>"
        yield f'<td class="words">{escape(row.reason)}</td></tr>'
    yield "</table></div>"


def _host(host: dict[str, Any]) -> Iterator[str]:
    yield "<h2>The host</h2>"
    yield "<dl>"
    for name, words in facts_of(host):
        yield f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>"
    yield "</dl>"


def facts_of(host: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and words of the host's facts, those that are known by name first."""
    for name in (*(name for name in FACTS if name in host), *(n for n in host if n not in FACTS)):
        value = host[name]
        if value is None or value == "":
            continue
        if isinstance(value, dict):
            value = "; ".join(f"{key}: {words}" for key, words in value.items()) or "none"
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value)) or "none"
        yield FACTS.get(name, name.replace("_", " ")), str(value)
