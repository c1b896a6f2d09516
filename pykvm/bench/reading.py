"""Results from files: whoever wrote them, what comes of them is a `Result` or one line of words."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

from pykvm.bench.result import Measure, Skipped, from_json
from pykvm.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.bench.result import Ratio, Result, Round, Row

LARGEST = 64 << 20
"""Bytes; a result of everything takes a hundredth of that."""


def read_result(path: str) -> Result:
    """The result in a file that `pykvm bench --json` wrote.

    Raises:
        BenchError: it cannot be read, or is something else; the message names the file.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BenchError(f"cannot read {path!r}: {why}") from None
    if len(content) > LARGEST:
        raise BenchError(f"{path!r} is no result of `pykvm bench`: it is larger than 64 MiB")
    try:
        return parse_result(content)
    except BenchError as error:
        raise BenchError(f"{path!r}: {error}") from None


def parse_result(content: bytes) -> Result:
    """The result in the bytes of such a file.

    Raises:
        BenchError: there is none.
    """
    try:
        document = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        # the position is all that helps; a message may hold anything of the file
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BenchError(f"not JSON, as `pykvm bench --json` writes it{where}") from None
    result = from_json(document)
    for what in _wrong(result):
        raise BenchError(f"a damaged result of `pykvm bench`: {what}")
    return result


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _wrong(result: Result) -> Iterator[str]:
    """What is not as it should be, so that all who read a result may rely on it."""
    if not _are(str, result.command, result.started):
        yield "command and started are texts"
    if not isinstance(result.host, dict):
        yield "host is an object"
    if not _is_verdict(result.verdict):
        yield "its verdict is none"
    kinds = set()
    for row in result.rows:
        if not _are(str, row.kind, row.title) or row.kind in kinds:
            yield "each row has a kind of its own and a title"
        else:
            kinds.add(row.kind)
            yield from _wrong_row(row)
    for ratio in result.scale:
        if not _is_ratio(ratio):
            yield f"the ratio {str(ratio.name)[:40]!r} has no figures"


def _wrong_row(row: Row) -> Iterator[str]:
    if isinstance(row, Skipped):
        if not _are(str, row.reason):
            yield f"{row.kind} was skipped without a reason"
        return
    if not _are(str, row.unit, row.what) or not _is_verdict(row.verdict):
        yield f"{row.kind} has no unit, description or verdict"
    if not isinstance(row, Measure) or not row.rounds:
        yield f"{row.kind} has no rounds"
    elif not all(map(_is_round, row.rounds)):
        yield f"{row.kind} has a round without figures"


def _is_round(round: Round) -> bool:
    figures = (*round.total, *round.inside, *round.outside, *round.ticks)
    return (
        isinstance(round.count, int)
        and all(_is_figure(value) for value in figures)
        and all(_is_figure(value) for bucket in round.histogram for value in bucket)
    )


def _is_ratio(ratio: Ratio) -> bool:
    goal = 0.0 if ratio.goal is None else ratio.goal
    return _are(str, ratio.name, ratio.base, ratio.unit, ratio.skipped) and all(
        isinstance(value, int | float) and math.isfinite(value)
        for value in (ratio.value, ratio.low, ratio.high, ratio.pairs, goal)
    )


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _is_verdict(verdict: Any) -> bool:
    return _are(bool, verdict.stable) and _are(str, verdict.words)


def _are(kind: type, *values: Any) -> bool:
    return all(isinstance(value, kind) for value in values)
