"""What is made of samples, without KVM."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pykvm._shim")

from pykvm.bench.calibration import Calibration, guest_rate
from pykvm.bench.exits import as_round, chosen, fitting
from pykvm.bench.histogram import Histogram
from pykvm.bench.kinds import Kind, all_kinds
from pykvm.bench.kinds_interrupts import gap
from pykvm.bench.loops import ratios
from pykvm.bench.processors import choose
from pykvm.bench.rig import Sample
from pykvm.errors import BenchError

CALIBRATION = Calibration(
    khz=2_000_000.0,
    source="",
    inside=10.0,
    outside=20.0,
    guest_khz=1_000_000.0,
    stamp=30.0,
    instruction=1.0,
    words="",
)


def kind(*, by_guest: bool, instructions: int = 0) -> Kind:
    return Kind("k", "t", "w", lambda stack, bench: Sample, by_guest, instructions)  # type: ignore[arg-type, return-value]


def test_an_exit_s_figures_are_less_the_stamps_and_the_loop() -> None:
    sample = Sample(Histogram.of([1030]), Histogram.of([810]), Histogram.of([220]))
    found = as_round(kind(by_guest=False, instructions=50), CALIBRATION, sample)
    # 2 ticks a ns; an instruction is 1 tick of the guest, 1 ns, 2 ticks of the host
    assert found.inside.p50 == (810 - 10 - 100) / 2
    assert found.outside.p50 == (220 - 20) / 2
    assert found.total.p50 == (1030 - 30 - 100) / 2
    assert found.ticks.p50 == 900


def test_a_guest_s_figures_are_less_its_own_stamps() -> None:
    found = as_round(
        kind(by_guest=True, instructions=5), CALIBRATION, Sample(Histogram.of([135, 235]))
    )
    assert (found.total.minimum, found.total.maximum) == (100.0, 200.0)
    assert found.inside == found.total
    assert not any(found.outside)
    assert found.count == 2


def test_elements_share_what_their_exit_took() -> None:
    sample = Sample(Histogram.of([1030]), Histogram.of([810]), Histogram.of([220]), elements=10)
    assert as_round(kind(by_guest=False), CALIBRATION, sample).total.p50 == 50.0


def test_nothing_is_negative() -> None:
    found = as_round(kind(by_guest=True), CALIBRATION, Sample(Histogram.of([3])))
    assert found.total.minimum == 0.0
    assert found.histogram == [(0.0, 0.0, 1)]


def test_kinds_have_names_that_fit_and_are_told_apart() -> None:
    kinds = all_kinds()
    assert len({kind.name for kind in kinds}) == len(kinds) > 30
    assert all(len(kind.name) <= 22 and len(kind.title) <= 28 for kind in kinds)


def test_kinds_need_what_is_a_probe() -> None:
    from pykvm.kvm.probes import all_probes

    assert {name for kind in all_kinds() for name in kind.needs} <= set(all_probes())


def test_only_some_can_be_chosen() -> None:
    kinds, with_scale = chosen(["cpuid", "scale"])
    assert [kind.name for kind in kinds] == ["cpuid"]
    assert with_scale
    assert chosen([]) == (all_kinds(), True)
    assert not chosen(["cpuid"])[1]


def test_a_wrong_name_gets_a_hint() -> None:
    with pytest.raises(BenchError, match="no kind 'cpuidd' to measure: did you mean cpuid"):
        chosen(["cpuidd"])


def test_a_round_is_neither_too_short_nor_more_than_there_is_room_for() -> None:
    def never(count: int) -> Sample:
        return Sample(Histogram())

    assert fitting(never, 1e-9, None) == 50
    assert fitting(never, 1e9, 64) == 64


def test_rates_of_two_clocks() -> None:
    assert guest_rate(2e6, 99.0, 100.0) == 2e6
    assert guest_rate(2e6, 50.0, 100.0) == 1e6


def test_a_sleep_takes_as_many_turns_as_instructions_are_fast() -> None:
    assert gap(0.25) == 1_000_000
    assert gap(500.0) == 500
    assert gap(0.0) == 1


def test_ratios_are_the_middle_of_pairs() -> None:
    c, python, more = ratios([(100.0, 101.0, 200.0), (200.0, 204.0, 500.0), (100.0, 109.0, 300.0)])
    assert (c.value, c.unit, c.pairs) == (1.02, "x", 3)
    assert python.value == 2.5
    assert (more.value, more.unit, more.goal) == (200.0, "ns", 1000.0)


def topology(tmp_path: Path, siblings: dict[int, str]) -> Path:
    for cpu, text in siblings.items():
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text + "\n", encoding="ascii")
    return tmp_path


def test_the_second_processor_is_on_another_core(tmp_path: Path) -> None:
    pairs = topology(tmp_path, {3: "1,3", 2: "2-3"})
    assert choose([0, 1, 2, 3], None, pairs) == (3, 2)
    assert choose([1, 3], None, pairs) == (3, 1)
    assert choose([0, 1, 2, 3], 2, pairs) == (2, 1)
    assert choose([0], None, pairs) == (0, None)


def test_a_processor_that_is_not_there_is_refused() -> None:
    with pytest.raises(BenchError, match="processor 9 is not one that this process may use: 0, 1"):
        choose([0, 1], 9)
