"""From samples to rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.bench.density import FIGURES, Alive, allow_descriptors, kinds, row_of
from pykvm.bench.host import compiler
from pykvm.bench.options import Options
from pykvm.bench.samples import (
    NOTHING,
    chosen,
    measure_of,
    no_ratio,
    pairs_of,
    ratio_of,
    result_of,
    round_of,
)
from pykvm.bench.scale import processors
from pykvm.errors import BenchError


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_a_round_holds_all_values(values: list[float]) -> None:
    found = round_of(values)
    assert found.count == len(values) == sum(times for _, _, times in found.histogram)
    assert found.total.minimum == pytest.approx(min(values), abs=1e-3)
    assert found.total.maximum == pytest.approx(max(values), abs=1e-3)
    for low, high, _ in found.histogram:
        assert any(low - 1e-3 <= value <= high + 1e-3 for value in values)
    assert (found.inside, found.outside, found.ticks) == (NOTHING, NOTHING, NOTHING)


def test_a_measure_has_a_verdict_in_its_unit() -> None:
    found = measure_of("a", "A", "what", [[64.0], [64.0], [96.0]], "KiB")
    assert not found.verdict.stable
    assert "64.0 KiB" in found.verdict.words
    assert measure_of("a", "A", "what", [[64.0]] * 5, "KiB").verdict.stable


def test_pairs_are_those_that_were_measured_together() -> None:
    assert pairs_of([[1.0, 2.0], [3.0]], [[4.0, 5.0], [6.0]]) == [(1, 4), (2, 5), (3, 6)]
    with pytest.raises(ValueError, match="argument 2"):
        pairs_of([[1.0]], [[1.0, 2.0]])
    found = ratio_of("a", "b", [(2.0, 1.0)] * 10, goal=3.0)
    assert (found.value, found.low, found.high, found.pairs) == (2.0, 2.0, 2.0, 10)
    assert (found.goal, found.unit) == (3.0, "x")
    assert no_ratio("a", "b", "hangs").skipped == "hangs"


def test_names_that_are_none() -> None:
    assert chosen((), ["boot-vm", "boot-vcpu"]) == {"boot-vm", "boot-vcpu"}
    assert chosen(("boot-vm",), ["boot-vm", "boot-vcpu"]) == {"boot-vm"}
    with pytest.raises(BenchError, match="did you mean boot-vm"):
        chosen(("boot-vn",), ["boot-vm"])
    with pytest.raises(BenchError, match="there are a, b"):
        chosen(("zzz",), ["a", "b"])


def test_the_whole_is_judged() -> None:
    row = measure_of("a", "A", "what", [[1000.0]] * 3)
    found = result_of(Options(command="c"), "now", {"load": 0.0, "processors": 2}, [row], [])
    assert (found.schema, found.command, found.verdict.stable) == (1, "c", True)


@pytest.mark.parametrize(
    ("allowed", "sizes"),
    [
        (1, [1]),
        (2, [1, 2]),
        (3, [1, 2, 3]),
        (4, [1, 2, 4]),
        (6, [1, 2, 4, 6]),
        (64, [1, 2, 4, 8, 16]),
    ],
)
def test_how_many_processors(allowed: int, sizes: list[int]) -> None:
    assert processors(allowed) == sizes


def test_density_rows() -> None:
    found = [Alive(64.0, 70.0, [1e6, 2e6, 3e6], 5.0), Alive(66.0, -1.0, [2e6], 5.0)]
    time, pss, rss = (row_of(10, name, found) for name in FIGURES)
    assert (time.kind, time.unit, [r.total.p50 for r in time.rounds]) == (
        "density-10-time",
        "ns",
        [2e6, 2e6],
    )
    assert (pss.kind, pss.unit, [r.total.p50 for r in pss.rounds]) == (
        "density-10-pss",
        "KiB",
        [64.0, 66.0],
    )
    assert [r.total.p50 for r in rss.rounds] == [70.0, 0.0]  # a process may even shrink
    assert "keeps 5.0 descriptors" in pss.what
    assert {time.kind, pss.kind, rss.kind} <= {kind for kind, _ in kinds()}


def test_limits_on_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (100, 500)
    calls = []
    monkeypatch.setattr("resource.getrlimit", lambda which: limits)
    monkeypatch.setattr("resource.setrlimit", lambda which, new: calls.append(new))
    allow_descriptors(100, 10)
    assert calls == []
    allow_descriptors(101, 10)
    assert calls == [(101, 500)]
    with pytest.raises(BenchError, match=r"10 machines need 501 descriptors.*may open 500"):
        allow_descriptors(501, 10)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0GCC: (Debian 12.2.0-14) 12.2.0\0", "gcc 12.2.0 (Debian 12.2.0-14)"),
        (b"\0GCC: (GNU) 13.2.1 20231011 (Red Hat)\0", "gcc 13.2.1 (GNU)"),
        (b"\0Debian clang version 16.0.6 (15)\0", "clang 16.0.6"),
        (b"\x7fELF", "unknown"),
    ],
)
def test_the_compiler_is_read_from_the_extension(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(content)
    assert compiler(path) == words
    assert compiler(tmp_path / "none") == "unknown"
