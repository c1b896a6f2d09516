"""Figures as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.bench.result import Result

UNITS = {
    "ns": (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)),
    "KiB": (("GiB", 2.0**20), ("MiB", 2.0**10), ("KiB", 1.0)),
}
"""What large figures are given in, by the unit that they are kept in: name and size."""


def figure(value: float, unit: str) -> str:
    """A figure with its unit: three digits, in the unit that suits it."""
    number, name = scaled(value, unit)
    return f"{number} {name}"


def scaled(value: float, unit: str) -> tuple[str, str]:
    """The same in two parts."""
    name, size = unit_for(value, unit)
    return three_digits(value / size), name


def unit_for(value: float, unit: str) -> tuple[str, float]:
    """The name of the unit that suits `value`, and how many of `unit` it is."""
    units = UNITS.get(unit, ((unit, 1.0),))
    return next(
        (name_and_size for name_and_size in units if abs(value) >= name_and_size[1]), units[-1]
    )


def three_digits(value: float) -> str:
    """A number with three digits, or with all of those before its point."""
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f}"


def times(value: float, unit: str) -> str:
    """A ratio, or a difference, of `pykvm.bench.result.Ratio`."""
    return f"{three_digits(value)}x" if unit == "x" else figure(value, unit)


def title_of(result: Result) -> str:
    """What a result is of: its command without options."""
    return " ".join(result.command.split()[:3]) or "pykvm bench"
