"""A result as a picture, by matplotlib, which is imported only here (the extra `plot`)."""

from __future__ import annotations

from io import BytesIO
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from pykvm.bench.figures import figure, times, title_of
from pykvm.bench.page_picture import label
from pykvm.bench.result import Measure
from pykvm.bench.shape import axis_of, buckets_of, cumulative, has_shape, make_axis, rebin
from pykvm.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.bench.result import Ratio, Result
    from pykvm.bench.shape import Axis

INSTALL = "python3 -m pip install 'pykvm-vmm[plot]'"

BAR, CURVE, ROUND, MARK, SOFT = "#9dbfe4", "#1f5ea8", "#8f9aa6", "#b0500a", "#59636e"
BINS, POINTS = 64, 200
COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT = 4.6, 2.7
"""Inches."""

HEAD_HEIGHT, RATIO_HEIGHT, RATIO_MARGINS = 0.9, 0.42, 0.9
DOTS = 110
"""In an inch."""

STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": "#1d232a",
    "figure.facecolor": "white",
}


def require_matplotlib() -> None:
    """See that there is matplotlib, without the time that importing it takes.

    Raises:
        BenchError: there is none; the message says what to type.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise BenchError(f"--png needs matplotlib, which is not installed: {INSTALL}")


def as_png(result: Result) -> bytes:
    """The picture: a panel for each thing that was measured, then the ratios.

    Raises:
        BenchError: there is no matplotlib, or nothing was measured.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BenchError(f"--png needs matplotlib, which cannot be imported: {error}") from None
    measures = [row for row in result.rows if isinstance(row, Measure)]
    ratios = [ratio for ratio in result.scale if _is_drawn(ratio)]
    if not measures and not ratios:
        raise BenchError("--png: nothing was measured that could be drawn")
    rows = ceil(len(measures) / COLUMNS)
    heights = [HEAD_HEIGHT, PANEL_HEIGHT * rows, RATIO_HEIGHT * len(ratios) + RATIO_MARGINS]
    drawn = [True, bool(measures), bool(ratios)]
    heights = [height for height, is_drawn in zip(heights, drawn, strict=True) if is_drawn]
    with rc_context(STYLE):
        picture = Figure(figsize=(PANEL_WIDTH * COLUMNS, sum(heights)))
        parts = list(picture.subfigures(len(heights), 1, height_ratios=heights).flat)
        _head(parts.pop(0), result)
        if measures:
            _panels(parts.pop(0), measures, rows)
        if ratios:
            _ratios(parts.pop(0), ratios)
        file = BytesIO()
        picture.savefig(file, format="png", dpi=DOTS)
    return file.getvalue()


def _is_drawn(ratio: Ratio) -> bool:
    return not ratio.skipped and ratio.unit == "x" and ratio.low > 0


def _head(part: Any, result: Result) -> None:
    facts = result.host
    host = f"{facts.get('processor', '?')}, Linux {facts.get('kernel', '?')}"
    kind = facts.get("kvm")
    part.text(0.01, 0.72, _plain(title_of(result)), fontsize=15, weight="bold", va="center")
    part.text(
        0.01,
        0.36,
        _plain(f"{result.started}   {host}" + (f", {kind} KVM" if kind else "")),
        color=SOFT,
        va="center",
    )
    part.text(
        0.01,
        0.08,
        "bars: how often; strong line: the part of all that took no longer; thin lines: single "
        "rounds; dots: their medians"
        + ("" if result.verdict.stable else ".  NOISY: not to be quoted"),
        color=SOFT if result.verdict.stable else MARK,
        va="center",
    )


def _panels(part: Any, measures: Sequence[Measure], rows: int) -> None:
    margins = _margins(PANEL_HEIGHT * rows) | {"left": 0.04, "wspace": 0.15, "hspace": 0.38}
    panels = list(part.subplots(rows, COLUMNS, squeeze=False, gridspec_kw=margins).flat)
    for panel, measure in zip(panels, measures, strict=False):
        _panel(panel, measure)
    for panel in panels[len(measures) :]:
        panel.remove()


def _margins(height: float) -> dict[str, float]:
    """Room for a title above and an axis below, in a part that is so many inches high."""
    return {"top": 1 - 0.32 / height, "bottom": 0.36 / height, "right": 0.985}


def _panel(panel: Any, measure: Measure) -> None:
    axis = axis_of(measure)
    panel.set_xscale("log")
    panel.set_xlim(axis.low, axis.high)
    _label_values(panel, axis, measure.unit)
    panel.set_ylim(0, 1.02)
    if has_shape(measure):
        everything = buckets_of(measure.rounds)
        edges = axis.edges(BINS)
        counts = rebin(everything, edges)
        most = max(counts) or 1.0
        panel.stairs([count / most for count in counts], edges, fill=True, color=BAR)
        at = axis.edges(POINTS)
        for round in measure.rounds:
            panel.plot(at, cumulative(round.histogram, at), color=ROUND, lw=0.7, alpha=0.8)
        panel.plot(at, cumulative(everything, at), color=CURVE, lw=1.8)
    medians = [round.total.p50 for round in measure.rounds]
    panel.plot(medians, [0.5] * len(medians), "o", color=MARK, ms=3.5, alpha=0.8, clip_on=False)
    panel.set_yticks([0, 0.5, 0.9, 1], ["0%", "50%", "90%", ""])
    panel.grid(axis="y", color="#d9dde1", lw=0.7)
    panel.set_axisbelow(True)
    middle = median(medians)
    noisy = "" if measure.verdict.stable else "  (noisy)"
    panel.set_title(_plain(f"{measure.title}: {figure(middle, measure.unit)}{noisy}"), loc="left")


def _label_values(panel: Any, axis: Axis, unit: str) -> None:
    from matplotlib.ticker import NullLocator

    # a panel is narrow: every other tick where there are many
    ticks = axis.ticks[:: 2 if len(axis.ticks) > 5 else 1]
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(ticks, [label(tick, unit) for tick in ticks])


def _ratios(part: Any, ratios: Sequence[Ratio]) -> None:
    from matplotlib.ticker import NullLocator

    margins = _margins(RATIO_HEIGHT * len(ratios) + RATIO_MARGINS) | {"left": 0.29}
    panel = part.subplots(gridspec_kw=margins)
    values = [value for ratio in ratios for value in (ratio.low, ratio.high)]
    goals = [ratio.goal for ratio in ratios if ratio.goal is not None]
    axis = make_axis(min(*values, *goals, 1.0), max(*values, *goals, 1.0))
    panel.set_xscale("log")
    panel.set_xlim(axis.low, axis.high)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(axis.ticks, [label(tick, "x") for tick in axis.ticks])
    panel.set_ylim(len(ratios) - 0.4, -0.6)
    panel.axvline(1.0, color=SOFT, lw=1)
    panel.grid(axis="x", color="#d9dde1", lw=0.7)
    for y, ratio in enumerate(ratios):
        panel.plot([ratio.low, ratio.high], [y, y], color=CURVE, lw=5, alpha=0.45)
        panel.plot([ratio.value], [y], "o", color=CURVE, ms=6)
        if ratio.goal is not None:
            panel.plot([ratio.goal] * 2, [y - 0.35, y + 0.35], color=MARK, lw=1.5, ls="--")
    panel.set_yticks(
        range(len(ratios)),
        [
            _plain(f"{ratio.name} / {ratio.base}: {times(ratio.value, ratio.unit)}")
            for ratio in ratios
        ],
        color="#1d232a",
    )
    panel.set_title("ratios, with limits that are 95 % sure (dashed: goals)", loc="left")


def _plain(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
