"""The report's pictures, as inline SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pykvm.bench.figures import figure, scaled, times
from pykvm.bench.shape import axis_of, buckets_of, cumulative, has_shape, make_axis, rebin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pykvm.bench.result import Measure, Ratio
    from pykvm.bench.shape import Axis

WIDTH = 560.0
LEFT, RIGHT = 46.0, 18.0
BINS = 72
POINTS = 140

SHAPE_HEIGHT = 230.0
TOP, BOTTOM = 14.0, 34.0

ROUNDS_ROW, MOST_ROUNDS = 22.0, 12

WIDE = 1000.0
NAME = 330.0
"""What names have of the wide pictures' width."""

ROW = 26.0


def shape(measure: Measure) -> str:
    """How often which figure occurred, and the part of all below each, by round and together."""
    if not has_shape(measure):
        return ""
    axis = axis_of(measure)
    everything = buckets_of(measure.rounds)
    counts = rebin(everything, axis.edges(BINS))
    return _svg(
        WIDTH,
        SHAPE_HEIGHT,
        f"{measure.title}: distribution",
        (
            *_bars(counts, axis),
            *_value_axis(axis, measure.unit, LEFT, WIDTH - RIGHT, SHAPE_HEIGHT - BOTTOM),
            *_percent_axis(),
            *(
                _curve(axis, cumulative(round.histogram, axis.edges(POINTS)), "round")
                for round in measure.rounds
            ),
            _curve(axis, cumulative(everything, axis.edges(POINTS)), "curve"),
        ),
    )


def _svg(width: float, height: float, label: str, inside: Sequence[str]) -> str:
    return "\n".join(
        (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">',
            *inside,
            "</svg>",
        )
    )


def _bars(counts: Sequence[float], axis: Axis) -> Iterator[str]:
    most = max(counts) or 1.0
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    room = SHAPE_HEIGHT - TOP - BOTTOM
    for i, count in enumerate(counts):
        height = room * count / most
        if height >= 0.2:
            yield (
                f'<rect class="bar" x="{LEFT + i * step:.2f}" width="{step - 0.6:.2f}" '
                f'y="{TOP + room - height:.2f}" height="{height:.2f}"/>'
            )


def _curve(axis: Axis, parts: Sequence[float], kind: str) -> str:
    room = SHAPE_HEIGHT - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / (len(parts) - 1)
    points = " ".join(
        f"{LEFT + i * step:.1f},{TOP + room * (1 - part):.1f}" for i, part in enumerate(parts)
    )
    return f'<polyline class="{kind}" points="{points}"/>'


def _value_axis(axis: Axis, unit: str, left: float, right: float, y: float) -> Iterator[str]:
    yield f'<path class="axis" d="M{left:g} {y:g}H{right:g}"/>'
    for tick in axis.ticks:
        x = left + (right - left) * axis.place(tick)
        yield f'<path class="axis" d="M{x:.2f} {y:g}v5"/>'
        yield (
            f'<text class="soft" x="{x:.2f}" y="{y + 19:g}" text-anchor="middle">'
            f"{escape(label(tick, unit))}</text>"
        )


def label(tick: float, unit: str) -> str:
    """A tick's words: no more digits than it needs."""
    number, name = scaled(tick, unit)
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}x" if unit == "x" else f"{number} {name}"


def _percent_axis() -> Iterator[str]:
    room = SHAPE_HEIGHT - TOP - BOTTOM
    for part in (0.0, 0.5, 0.9, 1.0):
        y = TOP + room * (1 - part)
        yield f'<path class="grid" d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>'
        yield (
            f'<text class="soft" x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{100 * part:g}%</text>"
        )


def rounds(measure: Measure) -> str:
    """A line a round, the first ones if there are many: half to nine tenths of it, its median."""
    shown = measure.rounds[:MOST_ROUNDS]
    low = min(round.total.minimum for round in shown)
    high = max(round.total.p90 for round in shown)
    middle = max(round.total.p50 for round in shown) or 1.0
    axis = make_axis(max(low, middle / 100), max(high, middle))
    bottom = TOP + ROUNDS_ROW * len(shown) + 6
    lines = list(_value_axis(axis, measure.unit, LEFT, WIDTH - RIGHT, bottom))
    span = WIDTH - LEFT - RIGHT
    for i, one in enumerate(shown):
        y = TOP + ROUNDS_ROW * (i + 0.5)
        least, p50, p90 = (
            LEFT + span * axis.place(value)
            for value in (one.total.minimum, one.total.p50, one.total.p90)
        )
        lines.append(
            f'<text class="soft" x="{LEFT - 8:g}" y="{y + 4:g}" text-anchor="end">{i + 1}</text>'
        )
        lines.append(f'<path class="span" d="M{least:.2f} {y:g}H{p90:.2f}"/>')
        lines.append(
            f'<circle class="dot" cx="{p50:.2f}" cy="{y:g}" r="4.5"><title>round {i + 1}: median '
            f"{escape(figure(one.total.p50, measure.unit))}</title></circle>"
        )
    return _svg(WIDTH, bottom + BOTTOM - 6, f"{measure.title}: rounds", lines)


def overview(measures: Sequence[Measure]) -> str:
    """All of one unit below each other, on one axis: from the least to 99 %, with the median."""
    figures = [_whole(measure) for measure in measures]
    smallest = min(p50 for _, p50, _, _ in figures) or 1.0
    axis = make_axis(
        max(min(least for least, *_ in figures), smallest / 4),
        max(p99 for *_, p99 in figures) or 1.0,
    )
    left, right = NAME, WIDE - 90.0
    bottom = TOP + ROW * len(measures) + 4
    lines = []
    for tick in axis.ticks:
        x = left + (right - left) * axis.place(tick)
        lines.append(f'<path class="grid" d="M{x:.2f} {TOP:g}V{bottom:g}"/>')
    lines += _value_axis(axis, measures[0].unit, left, right, bottom)
    for i, (measure, values) in enumerate(zip(measures, figures, strict=True)):
        y = TOP + ROW * (i + 0.5)
        least, p50, p90, p99 = (left + (right - left) * axis.place(value) for value in values)
        lines.append(
            f'<text x="{left - 14:g}" y="{y + 4:g}" text-anchor="end">'
            f"{escape(measure.title)}</text>"
            f'<path class="span" d="M{least:.2f} {y:g}H{p99:.2f}"/>'
            f'<path class="thick" d="M{least:.2f} {y:g}H{p90:.2f}"/>'
            f'<circle class="dot" cx="{p50:.2f}" cy="{y:g}" r="5"/>'
            f'<text x="{WIDE - 4:g}" y="{y + 4:g}" text-anchor="end">'
            f"{escape(figure(values[1], measure.unit))}</text>"
        )
    return _svg(WIDE, bottom + BOTTOM - 6, "all medians", lines)


def _whole(measure: Measure) -> tuple[float, float, float, float]:
    """The median of the rounds, of their least, their median, their 90 % and 99 %."""
    from statistics import median

    totals = [round.total for round in measure.rounds]
    return (
        median(total.minimum for total in totals),
        median(total.p50 for total in totals),
        median(total.p90 for total in totals),
        median(total.p99 for total in totals),
    )


def scale(ratios: Sequence[Ratio]) -> str:
    """Ratios of unit "x" on one axis, each with its limits and its goal; 1 is marked."""
    values = [value for ratio in ratios for value in (ratio.low, ratio.high, ratio.value)]
    values += [ratio.goal for ratio in ratios if ratio.goal is not None]
    axis = make_axis(max(min(*values, 1.0), 1e-6), max(*values, 1.0))
    left, right = NAME, WIDE - 90.0
    bottom = TOP + 2 * ROW * len(ratios) + 4
    lines = list(_value_axis(axis, "x", left, right, bottom))

    def at(value: float) -> float:
        return left + (right - left) * axis.place(value)

    lines.append(f'<path class="axis" d="M{at(1.0):.2f} {TOP:g}V{bottom:g}"/>')
    for i, ratio in enumerate(ratios):
        y = TOP + 2 * ROW * (i + 0.5)
        lines.append(
            f'<text x="{left - 14:g}" y="{y - 4:g}" text-anchor="end">{escape(ratio.name)}</text>'
            f'<text class="soft" x="{left - 14:g}" y="{y + 13:g}" text-anchor="end">'
            f"over {escape(ratio.base)}</text>"
            f'<path class="thick" d="M{at(ratio.low):.2f} {y:g}H{at(ratio.high):.2f}"/>'
            f'<circle class="dot" cx="{at(ratio.value):.2f}" cy="{y:g}" r="5"/>'
            f'<text x="{WIDE - 4:g}" y="{y + 4:g}" text-anchor="end">'
            f"{escape(times(ratio.value, ratio.unit))}</text>"
        )
        if ratio.goal is not None:
            x = at(ratio.goal)
            lines.append(
                f'<path class="mark" d="M{x:.2f} {y - ROW * 0.7:g}v{ROW * 1.4:g}"/>'
                f'<text class="mark-words" x="{x + 5:.2f}" y="{y - 8:g}">goal '
                f"{escape(times(ratio.goal, ratio.unit))}</text>"
            )
    return _svg(WIDE, bottom + BOTTOM - 6, "ratios", lines)
