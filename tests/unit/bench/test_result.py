"""Results go to JSON and come back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pykvm.bench.result import (
    Measure,
    Ratio,
    Result,
    Round,
    Skipped,
    Spread,
    Verdict,
    from_json,
    to_json,
)
from pykvm.errors import BenchError

SPREAD = Spread(1.0, 2.5, 3.0, 4.0, 5.0, 1e9)
ROUND = Round(3, SPREAD, SPREAD, Spread(0, 0, 0, 0, 0, 0), SPREAD, [(0.0, 1.5, 2), (2.0, 9.0, 1)])
RESULT = Result(
    1,
    "pykvm bench exits",
    "2026-01-02T03:04:05+00:00",
    {"processor": "x", "load": 0.5},
    [
        Measure("cpuid", "CPUID", "ns", "what", [ROUND, ROUND], Verdict(True, "fine")),
        Skipped("hypercall", "VMCALL", "hangs"),
    ],
    [Ratio("a", "b", 1.01, 1.0, 1.02, 7), Ratio("a", "b", 9.0, 8.0, 9.5, 7, "ns", 1000.0)],
    Verdict(False, "noisy"),
)


def test_it_comes_back_as_it_was() -> None:
    assert from_json(json.loads(json.dumps(to_json(RESULT)))) == RESULT


def test_json_has_names_rather_than_places() -> None:
    document = to_json(RESULT)
    assert document["schema"] == 1
    assert document["rows"][0]["rounds"][0]["total"]["p50"] == 2.5
    assert document["rows"][1] == {"kind": "hypercall", "title": "VMCALL", "reason": "hangs"}
    assert document["scale"][1]["goal"] == 1000.0


@pytest.mark.parametrize("document", [None, [], {}, {"schema": 2}, {"schema": "1"}])
def test_what_is_no_result_is_refused(document: Any) -> None:
    with pytest.raises(BenchError, match="not a result of `pykvm bench` with schema 1"):
        from_json(document)


@pytest.mark.parametrize("key", ["rows", "scale", "host", "verdict"])
def test_a_damaged_result_is_refused(key: str) -> None:
    document = to_json(RESULT)
    del document[key]
    with pytest.raises(BenchError, match="damaged"):
        from_json(document)


def test_a_damaged_round_is_refused() -> None:
    document = to_json(RESULT)
    document["rows"][0]["rounds"][0]["total"]["p42"] = 1
    with pytest.raises(BenchError, match="p42"):
        from_json(document)
