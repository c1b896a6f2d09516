"""The timeline: valid JSON, and slices of one track that never overlap."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pykvm.trace.event import Event, Pairing, timed
from pykvm.trace.perfetto import INSIDE, Perfetto
from tests.unit.trace.by_hand import CLOCK, RatedClock, event, no_device, record, uart


def timeline(*batches: list[Event], zero: int = 0) -> list[dict[str, Any]]:
    """What a viewer reads."""
    form = Perfetto(RatedClock(1e6, start=zero), no_device)
    text = form.begin() + "".join(map(form.events, batches)) + form.end()
    told = json.loads(text)
    assert told["displayTimeUnit"] == "ns"
    assert told["otherData"] == {"tsc_khz": 1e6, "tsc_khz_source": "KVM_GET_TSC_KHZ"}
    events: list[dict[str, Any]] = told["traceEvents"]
    return events


def slices(events: list[dict[str, Any]], vcpu: int) -> list[tuple[int, int, str]]:
    """Start, end and name of a track's slices, in ns."""
    return [
        (round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000), e["name"])
        for e in events
        if e["ph"] == "X" and e["tid"] == vcpu
    ]


def test_an_empty_trace_is_valid() -> None:
    assert timeline() == []
    assert timeline([], []) == []


def test_an_exit_is_a_slice_inside_and_one_outside() -> None:
    told = slices(timeline([event(tracing=50)]), 0)
    assert told == [
        (1000, 2500, INSIDE),
        (2500, 2800, "C posted: out 0x3f8 = 0x41 'A'"),
        (2800, 2850, "pykvm trace"),
    ]


def test_each_vcpu_has_a_named_track() -> None:
    names = {
        e["tid"]: e["args"]["name"]
        for e in timeline([event(vcpu=0)], [event(vcpu=3), event(vcpu=0)])
        if e["ph"] == "M" and e["name"] == "thread_name"
    }
    assert names == {0: "vCPU 0", 3: "vCPU 3"}


def test_the_last_exit_is_a_mark() -> None:
    *_, last = timeline([event(outside=None)])
    assert (last["ph"], last["s"], last["ts"]) == ("i", "t", 2.5)


def test_slices_say_what_was_accessed() -> None:
    form = Perfetto(CLOCK, uart)
    told = json.loads(form.begin() + form.events([event()]) + form.end())["traceEvents"]
    args = next(e["args"] for e in told if e.get("cat") == "c")
    assert (args["device"], args["port"], args["instruction"]) == ("UART", "0x3f8", "out dx, al")


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000)
        ),
        max_size=40,
    ),
    st.floats(0.3e6, 5e6),
)
def test_slices_of_a_track_follow_each_other(
    steps: list[tuple[int, int, int, int]], khz: float
) -> None:
    """At any rate of the TSC: whatever is rounded, none reaches into the next."""

    form = Perfetto(RatedClock(khz), no_device)
    clocks = [1000, 1000]
    pairings = [Pairing(), Pairing()]
    text = form.begin()
    for vcpu, inside, outside, paused in steps:
        entered = clocks[vcpu] + outside + paused
        clocks[vcpu] = entered + inside
        done = pairings[vcpu].add(
            timed(record(vcpu=vcpu, entered=entered, left=clocks[vcpu], paused=paused))
        )
        text += form.events([] if done is None else [done])
    told = json.loads(text + form.end())["traceEvents"]
    for vcpu in (0, 1):
        mine = slices(told, vcpu)
        assert all(start <= end for start, end, _ in mine)
        for (_, end, _), (start, _, _) in pairwise(mine):
            assert end <= start
