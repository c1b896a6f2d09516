"""What a benchmark found, as plain values that go to JSON and come back.

All times are in ns, with the parts of a ns that averages have, unless a name says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from pykvm.errors import BenchError

SCHEMA = 1


class Spread(NamedTuple):
    """How a figure is spread: the value that the part in the name does not exceed."""

    minimum: float
    p50: float
    p90: float
    p99: float
    p999: float
    maximum: float


class Verdict(NamedTuple):
    """Whether figures can be trusted.

    Attributes:
        stable: whether the rounds agree.
        words: one line: by how much they differ, or what makes them doubtful.
    """

    stable: bool
    words: str


class Round(NamedTuple):
    """One run of a measurement; rounds follow each other.

    Attributes:
        count: how many times the thing was measured in it.
        total: the whole of it.
        inside: the part of the guest and the kernel; the whole where userspace has no part.
        outside: userspace's part; zeros where it has none.
        ticks: `total` in ticks of the TSC.
        histogram: `total` in full: the least value of a bucket, its end (exclusive), how many.
    """

    # a tuple's method of that name gives way
    count: int  # type: ignore[assignment]
    total: Spread
    inside: Spread
    outside: Spread
    ticks: Spread
    histogram: list[tuple[float, float, int]]


class Measure(NamedTuple):
    """A thing that was measured.

    Attributes:
        kind: its name for programs and `--only`; it does not change between versions.
        title: its name for people.
        unit: of the figures.
        what: exactly what is between the two stamps, and by whose clock.
        rounds: each run.
        verdict: whether they can be trusted.
    """

    kind: str
    title: str
    unit: str
    what: str
    rounds: list[Round]
    verdict: Verdict


class Skipped(NamedTuple):
    """A thing that this host cannot do.

    Attributes:
        kind, title: as in `Measure`.
        reason: one line.
    """

    kind: str
    title: str
    reason: str


class Ratio(NamedTuple):
    """Two things compared, in turn, pair by pair.

    Attributes:
        name: what is compared.
        base: with what.
        value: the median of the pairs.
        low, high: where that median lies with a confidence of 95 %.
        pairs: how many.
        unit: "x": how many times as long; "ns": how much longer.
        goal: what it should not exceed; None where nobody said.
        skipped: why there are no figures; "" if there are.
    """

    name: str
    base: str
    value: float
    low: float
    high: float
    pairs: int
    unit: str = "x"
    goal: float | None = None
    skipped: str = ""


Row = Measure | Skipped


class Result(NamedTuple):
    """What one `pykvm bench` found.

    Attributes:
        schema: of this structure; 1.
        command: what was typed.
        started: when, in UTC, as in ISO 8601.
        host: the facts without which figures mean nothing.
        rows: what was measured, or why not, in the order of the suite.
        scale: how pykvm compares with what it is held against.
        verdict: whether the whole can be trusted.
    """

    schema: int
    command: str
    started: str
    host: dict[str, Any]
    rows: list[Row]
    scale: list[Ratio]
    verdict: Verdict


def to_json(result: Result) -> dict[str, Any]:
    """The result as what `json.dumps` takes."""
    return {
        **result._asdict(),
        "rows": [_row_to_json(row) for row in result.rows],
        "scale": [ratio._asdict() for ratio in result.scale],
        "verdict": result.verdict._asdict(),
    }


def from_json(document: Any) -> Result:
    """What `to_json` gave.

    Raises:
        BenchError: it is no such thing, or of a later schema.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise BenchError(
            f"not a result of `pykvm bench` with schema {SCHEMA}: its schema is {schema!r}"
        )
    try:
        return Result(
            **{
                **document,
                "rows": [_row_from_json(row) for row in document["rows"]],
                "scale": [Ratio(**ratio) for ratio in document["scale"]],
                "verdict": Verdict(**document["verdict"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"a damaged result of `pykvm bench`: {error}") from error


def _row_to_json(row: Row) -> dict[str, Any]:
    if isinstance(row, Skipped):
        return row._asdict()
    return {
        **row._asdict(),
        "rounds": [_round_to_json(round) for round in row.rounds],
        "verdict": row.verdict._asdict(),
    }


_SPREADS = ("total", "inside", "outside", "ticks")


def _round_to_json(round: Round) -> dict[str, Any]:
    members = round._asdict()
    for name in _SPREADS:
        members[name] = members[name]._asdict()
    members["histogram"] = [list(bucket) for bucket in round.histogram]
    return members


def _row_from_json(row: dict[str, Any]) -> Row:
    if "reason" in row:
        return Skipped(**row)
    rounds = [_round_from_json(round) for round in row["rounds"]]
    return Measure(**{**row, "rounds": rounds, "verdict": Verdict(**row["verdict"])})


def _round_from_json(members: dict[str, Any]) -> Round:
    spreads = {name: Spread(**members[name]) for name in _SPREADS}
    histogram = [
        cast("tuple[float, float, int]", (low, high, n)) for low, high, n in members["histogram"]
    ]
    return Round(**{**members, **spreads, "histogram": histogram})
