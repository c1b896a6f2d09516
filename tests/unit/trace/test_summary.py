"""The summary: groups, shares, and its bounds."""

from __future__ import annotations

import json

from pykvm._shim import lib
from pykvm.trace import summary
from pykvm.trace.event import Event
from pykvm.trace.summary import Row, Summary
from tests.unit.trace.by_hand import EMULATED, ON_KVM, event, untimed


def rows(kind: str, *events: Event) -> list[Row]:
    told = Summary(ON_KVM)
    assert told.events(events) == ""
    return [row for row in told.rows() if row.kind == kind]


def halt(length: int) -> Event:
    return event(reason=lib.KVM_EXIT_HLT, size=0, entered=0, left=length, outside=0)


def test_exits_are_grouped_by_reason_the_most_expensive_first() -> None:
    first, second = rows("exit", event(), event(), halt(10_000))
    assert (first.name, first.count) == ("KVM_EXIT_HLT", 1)
    assert (second.name, second.count) == ("KVM_EXIT_IO", 2)
    assert (second.inside_p50, second.outside_p50) == (1503, 301)
    assert (first.share, second.share) == (10_000 / 13_600, 3600 / 13_600)


def test_accesses_are_grouped_by_address_and_direction() -> None:
    names = {row.name: row.count for row in rows("access", event(), event(is_write=False), event())}
    assert names == {"out 0x3f8": 2, "in 0x3f8": 1}


def test_instructions_have_addresses_and_names() -> None:
    (row,) = rows("instruction", event(), event())
    assert (row.name, row.count) == ("00001004 <main+0x4>  out dx, al", 2)


def test_what_was_not_found_is_told() -> None:
    (row,) = rows("instruction", event()._replace(place=None))
    assert row.name == summary.NOT_FOUND


def test_a_last_exit_has_no_time_in_userspace() -> None:
    (row,) = rows("exit", event(outside=None))
    assert (row.count, row.outside_p50, row.outside_p99) == (1, 0, 0)


def test_a_guest_cannot_make_it_grow_for_ever() -> None:
    told = Summary(ON_KVM)
    for port in range(summary.MOST_GROUPS + 50):
        told.events([event(address=port)])
    accesses = [row for row in told.rows() if row.kind == "access"]
    assert len(accesses) == summary.MOST_GROUPS + 1
    assert {row.count for row in accesses if row.name == summary.ELSEWHERE} == {50}


def test_the_tables_are_cut_and_say_so() -> None:
    told = Summary(ON_KVM)
    for port in range(summary.SHOWN + 3):
        told.events([event(address=port)])
    text = told.end()
    assert text.startswith(
        "33 returns of KVM_RUN: 0.050 ms in guest and KVM, 0.010 ms in userspace\n"
    )
    assert "3   9.1%  3 more\n" in text


def test_as_json_each_group_is_a_line() -> None:
    told = Summary(ON_KVM, as_json=True)
    told.events([event()])
    lines = [json.loads(line) for line in told.end().splitlines()]
    assert [line["kind"] for line in lines] == ["exit", "access", "instruction"]
    assert lines[0]["count"] == 1


def test_no_exits_have_no_shares() -> None:
    assert Summary(ON_KVM).end().startswith("0 returns of KVM_RUN: 0.000 ms")


def test_without_times_exits_are_counted_the_most_frequent_first() -> None:
    told = Summary(EMULATED)
    told.events([untimed(address=0x80), untimed(), untimed()])
    head, *_ = lines = told.end().splitlines()
    assert head == "3 exits of an emulated guest, without times"
    at = lines.index("    count  by access")
    assert lines[at + 1 : at + 3] == ["        2  out 0x3f8", "        1  out 0x80"]


def test_without_times_the_tables_are_cut_as_well() -> None:
    told = Summary(EMULATED)
    for port in range(summary.SHOWN + 3):
        told.events([untimed(address=port)])
    assert "\n        3  3 more\n" in told.end()


def test_without_times_a_line_of_json_has_none() -> None:
    told = Summary(EMULATED, as_json=True)
    told.events([untimed()])
    assert json.loads(told.end().splitlines()[0]) == {
        "kind": "exit",
        "name": "KVM_EXIT_IO",
        "count": 1,
    }
