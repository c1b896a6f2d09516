"""The picture of some turns: three lanes, to scale, as inline SVG."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pykvm.trace.story import length_of
from pykvm.trace.story_words import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pykvm.trace.story import Turn

WIDTH, HEIGHT = 1000.0, 232.0
LEFT, RIGHT = 76.0, 14.0
TOP, LANE, GAP = 30.0, 46.0, 8.0
SPAN = WIDTH - LEFT - RIGHT
"""What the turns share, in units of the picture."""

LANES = ("user", "kernel", "guest")
LETTER, MARGIN = 8.5, 6.0
"""About as wide are a letter, and the space around words."""

BLEND = (
    '<defs><linearGradient id="both" x1="0" y1="0" x2="0" y2="1"><stop class="kernel-end" '
    'offset="0.3"/><stop class="guest-end" offset="0.7"/></linearGradient></defs>'
)
"""One colour goes over into the other, as where the one ends is not known."""

STEPS = (1, 2, 5)


def picture(turns: Sequence[Turn]) -> str:
    """An `svg` element; each turn's blocks are as wide as their share of the time.

    Args:
        turns: one or more of one processor, in a row.
    """
    return "\n".join(
        (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
            'aria-label="a timeline of user, kernel and guest mode">',
            BLEND,
            *_lanes(),
            *_blocks(turns),
            *_axis(sum(length_of(turn) for turn in turns)),
            "</svg>",
        )
    )


def _lanes() -> Iterator[str]:
    for place, name in enumerate(LANES):
        y = _lane_y(place)
        yield (
            f'<rect class="lane" x="{LEFT:g}" y="{y:g}" width="{SPAN:g}" height="{LANE:g}"/>'
            f'<text class="label" x="{LEFT - 10:g}" y="{y + LANE / 2 + 5:g}" text-anchor="end">'
            f"{name}</text>"
        )


def _lane_y(place: int) -> float:
    return TOP + place * (LANE + GAP)


def _blocks(turns: Sequence[Turn]) -> Iterator[str]:
    total = sum(length_of(turn) for turn in turns) or 1
    tall = 2 * LANE + GAP
    at = 0
    for turn in turns:
        x, width = LEFT + SPAN * at / total, SPAN * turn.inside_ns / total
        yield (
            f'<rect class="inside" x="{x:.3f}" y="{_lane_y(1):g}" width="{width:.3f}" '
            f'height="{tall:g}"><title>turn {turn.number}: KVM_RUN, {duration(turn.inside_ns)}'
            "</title></rect>"
        )
        yield from _label(turn, x, width, _lane_y(1) + tall / 2)
        at += turn.inside_ns
        if turn.outside_ns is not None:
            yield from _answer(turn, LEFT + SPAN * at / total, SPAN * turn.outside_ns / total)
            at += turn.outside_ns


def _label(turn: Turn, x: float, width: float, y: float) -> Iterator[str]:
    """The turn's number and action, as far as the block has room for them."""
    for class_, dy, words in (("number", -5, str(turn.number)), ("action", 15, turn.action)):
        if len(words) * LETTER + MARGIN <= width:
            yield (
                f'<text class="{class_}" x="{x + width / 2:.3f}" y="{y + dy:g}" '
                f'text-anchor="middle">{escape(words)}</text>'
            )


def _answer(turn: Turn, x: float, width: float) -> Iterator[str]:
    kind = "by-c" if turn.by_c else "by-python"
    words = f"after turn {turn.number}: {duration(turn.outside_ns or 0)}"
    y = _lane_y(0)
    yield (
        f'<rect class="{kind}" x="{x:.3f}" y="{y:g}" width="{width:.3f}" height="{LANE:g}">'
        f"<title>{words}</title></rect>"
    )
    # so that the shortest answer is seen, too: it has no width of its own
    yield f'<path class="mark {kind}" d="M{x:.3f} {y:g}V{_lane_y(1):g}"/>'


def _axis(total: int) -> Iterator[str]:
    y = _lane_y(2) + LANE + GAP
    step = tick_step(total)
    for tick in range(0, total + 1, step):
        x = LEFT + (SPAN * tick / total if total else 0)
        yield f'<path class="tick" d="M{x:.3f} {y:g}v5"/>'
        yield (
            f'<text class="time" x="{x:.3f}" y="{y + 20:g}" text-anchor="middle">'
            f"{duration(tick) if tick else '0'}</text>"
        )


def tick_step(total: int) -> int:
    """A round number of ns that goes four to ten times into `total`; 1 for less than 4."""
    unit = 1
    while True:
        for step in STEPS:
            if total // (step * unit) < 10:
                return step * unit
        unit *= 10
