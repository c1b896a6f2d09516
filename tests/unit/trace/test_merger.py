"""The events of several vCPUs in one order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykvm.trace import merger
from pykvm.trace.event import Event, timed, times_of
from pykvm.trace.merger import Merger
from tests.unit.trace.by_hand import record


def at(vcpu: int, *times: int) -> list[Event]:
    return [timed(record(vcpu=vcpu, left=time)) for time in times]


def times(events: list[Event]) -> list[int]:
    return [times_of(event).left for event in events]


def test_one_vcpu_never_waits() -> None:
    assert times(Merger(1).add(0, at(0, 5, 9), 0)) == [5, 9]


def test_nothing_is_told_before_an_earlier_one_may_come() -> None:
    both = Merger(2)
    assert both.add(0, at(0, 10, 20, 30), 31) == []
    assert times(both.add(1, at(1, 15), 25)) == [10, 15, 20]
    assert times(both.add(1, [], 31)) == [30]


def test_the_end_gives_all_that_wait() -> None:
    both = Merger(2)
    both.add(0, at(0, 10, 30), 31)
    both.add(1, at(1, 20), 9)
    assert times(both.end()) == [10, 20, 30]
    assert both.end() == []


def test_who_says_nothing_is_not_waited_for_in_unbounded_memory() -> None:
    both = Merger(2)
    told = both.add(0, at(0, *range(merger.MOST_WAITING + 1)), 1 << 40)
    assert len(told) == merger.MOST_WAITING + 1


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 50)), min_size=1, max_size=60
    )
)
def test_all_come_out_in_order(steps: list[tuple[int, int, int]]) -> None:
    """Each vCPU's clock goes on by some ticks, at each of which it left the guest."""
    three = Merger(3)
    clocks = [0, 0, 0]
    put: list[int] = []
    got: list[int] = []
    for vcpu, count, pause in steps:
        new = [clocks[vcpu] + i for i in range(count)]
        clocks[vcpu] += count + pause
        put += new
        got += times(three.add(vcpu, at(vcpu, *new), clocks[vcpu]))
    got += times(three.end())
    assert got == sorted(put)
