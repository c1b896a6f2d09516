"""Two results held against each other: what is a change, what is noise, what cannot be told."""

from __future__ import annotations

import pytest

from pykvm.bench.comparison import Comparison, as_text, compare
from pykvm.bench.result import Ratio, Result, Row, Skipped, Spread, Verdict
from pykvm.errors import BenchError
from tests.unit.bench.recorded import RUNS, made, recorded, result

SEVEN = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8]


def times(factor: float) -> list[float]:
    return [factor * value for value in SEVEN]


def verdicts(comparison: Comparison) -> list[str]:
    return [change.verdict for change in comparison.changes]


def test_two_recorded_runs_do_not_differ() -> None:
    first, second = map(recorded, RUNS)
    for old, new in ((first, second), (second, first)):
        found = compare(old, new)
        assert len(found.changes) >= 10
        # by its own verdict that one is noisy
        assert [change.kind for change in found.changes if change.verdict != "same"] == ["hlt-wake"]
        assert found.status == 0


def slowed(run: Result, kind: str, factor: float) -> Result:
    """The run as it would be if one kind took longer."""

    def slow(row: Row) -> Row:
        if isinstance(row, Skipped) or row.kind != kind:
            return row
        totals = [Spread(*(factor * value for value in round.total)) for round in row.rounds]
        rounds = [
            round._replace(total=total) for round, total in zip(row.rounds, totals, strict=True)
        ]
        return row._replace(rounds=rounds)

    return run._replace(rows=[slow(row) for row in run.rows])


def test_in_a_recorded_run_one_kind_that_is_slower_is_found() -> None:
    first, second = map(recorded, RUNS)
    found = compare(first, slowed(second, "cpuid", 1.25))
    assert [change.kind for change in found.slower] == ["cpuid"]
    assert found.slower[0].times.value == pytest.approx(1.25, rel=0.1)
    assert found.status == 1


@pytest.mark.parametrize(
    ("factor", "verdict", "status"),
    [
        (1.0, "same", 0),
        (1.04, "same", 0),
        (1.08, "slower", 1),
        (0.97, "same", 0),
        (0.9, "faster", 0),
    ],
)
def test_the_threshold(factor: float, verdict: str, status: int) -> None:
    found = compare(result(made("cpuid", SEVEN)), result(made("cpuid", times(factor))))
    assert (verdicts(found), found.status) == ([verdict], status)
    assert found.changes[0].times.value == pytest.approx(factor)


def test_another_threshold() -> None:
    old, new = result(made("cpuid", SEVEN)), result(made("cpuid", times(1.08)))
    assert compare(old, new, 0.1).status == 0
    assert compare(old, new, 0.07).status == 1


def test_what_may_be_no_change_is_not_one() -> None:
    wide = [60.0, 70.0, 90.0, 100.0, 110.0, 140.0, 190.0]
    found = compare(result(made("cpuid", SEVEN)), result(made("cpuid", [v * 1.1 for v in wide])))
    assert (verdicts(found), found.status) == (["unsure"], 0)


def test_three_rounds_are_too_few() -> None:
    found = compare(result(made("cpuid", SEVEN[:3])), result(made("cpuid", times(2)[:3])))
    assert (verdicts(found), found.status) == (["unsure"], 0)
    assert "too few rounds" in as_text(found)


@pytest.mark.parametrize("noisy_first", [True, False])
def test_what_is_noisy_by_its_own_verdict_proves_nothing(noisy_first: bool) -> None:
    noisy = Verdict(False, "too noisy")
    old = made("cpuid", SEVEN, verdict=noisy if noisy_first else Verdict(True, ""))
    new = made("cpuid", times(2), verdict=Verdict(True, "") if noisy_first else noisy)
    assert verdicts(compare(result(old), result(new))) == ["unsure"]


@pytest.mark.parametrize("busy_first", [True, False])
def test_on_a_busy_host_ratios_alone_prove_something(busy_first: bool) -> None:
    before, after = (
        [Ratio("pool", "bare", value, value, value, 50, unit) for unit in ("x", "ns")]
        for value in (1.0, 2.0)
    )
    old = result(made("a", SEVEN), scale=before)
    new = result(made("a", times(2)), scale=after)
    busy = {"processor": "a CPU", "kernel": "6.1", "load": 3.0, "processors": 4}
    pair = (old._replace(host=busy), new) if busy_first else (old, new._replace(host=busy))
    assert verdicts(compare(*pair)) == ["unsure", "slower", "unsure"]
    idle = old._replace(host={**busy, "load": 2.0})
    assert verdicts(compare(idle, new)) == ["slower", "slower", "slower"]


def test_what_a_guest_timed_counts_with_what_was_subtracted() -> None:
    """100 ns that are left of 300: 8 ns more are less than 5 % of what the clock showed."""
    old, new = made("cpuid", SEVEN), made("cpuid", times(1.08))
    slow_clock = {"processor": "a CPU", "kernel": "6.1", "guest_stamp_ns": 200.0}
    assert verdicts(compare(result(old, host=slow_clock), result(new))) == ["same"]
    assert verdicts(compare(result(old), result(new, host=slow_clock))) == ["same"]
    far = made("cpuid", times(1.2))
    assert verdicts(compare(result(old, host=slow_clock), result(far))) == ["slower"]
    # what the loop timed has nothing to do with the guest's clock
    outside = Spread(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    looped = old._replace(rounds=[one._replace(outside=outside) for one in old.rounds])
    assert verdicts(compare(result(looped, host=slow_clock), result(new))) == ["slower"]


def test_what_only_one_of_them_has_is_said() -> None:
    old = result(made("a", SEVEN), made("b", SEVEN), Skipped("c", "C", "hangs"), made("d", SEVEN))
    new = result(made("a", SEVEN), Skipped("b", "B", "gone"), made("c", SEVEN), made("e", SEVEN))
    found = compare(old, new)
    assert [change.kind for change in found.changes] == ["a"]
    assert found.notes == [
        "b: no longer measured: gone",
        "c: only now measured; it was not, since: hangs",
        "e: only the new result has it",
        "d: only the old result has it",
    ]


def test_figures_of_other_units_and_of_nothing_are_not_compared() -> None:
    old = result(made("a", SEVEN, "KiB"), made("b", [0.0] * 7))
    new = result(made("a", SEVEN), made("b", SEVEN))
    assert compare(old, new).notes == ["a: in ns, and KiB before", "b: too short to be compared"]


def test_another_host_is_said() -> None:
    old = result(made("a", SEVEN), host={"kernel": "6.1", "kvm": "nested"})
    new = result(made("a", SEVEN), host={"kernel": "6.2", "kvm": "nested"})
    assert compare(old, new).notes == ["not the same kernel: 6.1, now 6.2"]


def test_a_doubtful_result_is_said() -> None:
    doubtful = result(made("a", SEVEN))._replace(verdict=Verdict(False, "busy"))
    assert compare(doubtful, result(made("a", SEVEN))).notes == ["the old result is doubtful: busy"]


def test_other_benchmarks_have_nothing_in_common() -> None:
    boot = result(made("boot-vm", SEVEN), command="pykvm bench boot")
    with pytest.raises(BenchError, match="`pykvm bench boot` and `pykvm bench exits`"):
        compare(boot, result(made("cpuid", SEVEN)))


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (Ratio("pool", "bare", 1.5, 1.45, 1.55, 50), ["same", "slower"]),
        (Ratio("pool", "bare", 1.5, 1.1, 1.9, 50), ["same", "unsure"]),
        (Ratio("pool", "bare", 1.22, 1.21, 1.23, 50), ["same", "same"]),
        (Ratio("pool", "bare", 1.0, 0.9, 1.1, 50), ["same", "faster"]),
        (Ratio("pool", "bare", 0.0, 0.0, 0.0, 0, skipped="hangs"), ["same"]),
        (Ratio("pool", "other", 9.0, 9.0, 9.0, 50), ["same"]),
    ],
)
def test_ratios_are_compared_by_their_limits(ratio: Ratio, verdict: list[str]) -> None:
    before = Ratio("pool", "bare", 1.2, 1.15, 1.25, 50)
    old = result(made("a", SEVEN), scale=[before])
    assert verdicts(compare(old, result(made("a", SEVEN), scale=[ratio]))) == verdict


def test_the_text() -> None:
    old = result(made("cpuid", SEVEN), made("rdmsr", SEVEN))
    new = result(made("cpuid", times(1.1)), made("rdmsr", SEVEN), made("wrmsr", SEVEN))
    lines = as_text(compare(old, new)).splitlines()
    assert lines[1].split()[:6] == ["cpuid", "100", "ns", "110", "ns", "+10.0"]
    assert lines[1].endswith("SLOWER")
    assert lines[2].startswith("rdmsr")
    assert not lines[2].endswith("SLOWER")
    assert lines[3] == "note: wrmsr: only the new result has it"
    assert lines[4:] == ["1 of 2 are slower by more than 5 %, for sure"]
    assert max(map(len, lines)) <= 80
    quiet = compare(old, result(made("cpuid", SEVEN)), 0.125)
    assert as_text(quiet).endswith("\nnone of 1 is slower by more than 12.5 % for sure\n")
