"""What events look like: as a table, as JSON lines, and what their words are."""

from __future__ import annotations

import json

import pytest

from pykvm._shim import lib
from pykvm.kvm.decode import exit_name
from pykvm.kvm.recorder import INTR
from pykvm.trace import words
from pykvm.trace.event import Event, timed
from pykvm.trace.jsonl import JsonLines
from pykvm.trace.text import TextFormat
from tests.unit.trace.by_hand import (
    CLOCK,
    EMULATED,
    ON_KVM,
    RatedClock,
    event,
    no_device,
    record,
    uart,
    untimed,
)


def line(of: Event) -> str:
    return TextFormat(ON_KVM, uart).events([of])


def test_a_line_of_the_table() -> None:
    assert line(event()).split() == [
        *("2.5", "0", "IO", "out", "0x3f8", "=", "0x41", "'A'", "UART", "1500", "300"),
        *("C", "posted", "00001004", "out", "dx,", "al", "<main+0x4>"),
    ]


HEAD = TextFormat(ON_KVM, uart).begin()


def test_columns_stand_below_their_heads() -> None:
    shown = line(event())
    for head, cell in (("what", "out 0x3f8"), ("device", "UART"), ("by", "C posted")):
        assert shown.index(cell) == HEAD.index(head)
    for head, cell in (("guest+KVM/ns", "1500"), ("user/ns", " 300"), ("time/us", "2.5")):
        assert shown.index(cell) + len(cell) == HEAD.index(head) + len(head)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 133, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    form = TextFormat(ON_KVM, uart, width)
    wide = event(reason=lib.KVM_EXIT_MMIO, address=1 << 40, size=8, value=1 << 63, left=1 << 40)
    step = event(reason=lib.KVM_EXIT_DEBUG)._replace(changes=dict.fromkeys(("rax", "rbx"), 1 << 63))
    lines = (form.begin() + form.events([event(), wide, step])).splitlines()
    assert max(map(len, lines)) <= width
    assert "out 0x3f8 = 0x41 'A'" in lines[1]
    assert ("C posted" in lines[1], "UART" in lines[1]) == (width >= 120, width >= 133)


def test_columns_stand_below_their_heads_in_a_narrow_table() -> None:
    form = TextFormat(ON_KVM, uart, 80)
    head, shown = form.begin(), form.events([event()])
    assert shown.index("out 0x3f8") == head.index("what")
    assert shown.index("out dx, al") == head.index("instruction")
    assert shown.index("1500") + 4 == head.index("KVM/ns") + 6


def test_an_exit_that_accesses_nothing_has_its_name_in_a_narrow_table() -> None:
    halt = event(reason=lib.KVM_EXIT_HLT, size=0, count=0)
    assert " HLT " in TextFormat(ON_KVM, uart, 80).events([halt])


def test_each_event_is_one_line() -> None:
    text = TextFormat(ON_KVM, no_device).events([event(), event(outside=None)._replace(place=None)])
    assert text.count("\n") == 2
    assert text.endswith("\n")


def test_a_step_shows_what_it_changed() -> None:
    step = event(reason=lib.KVM_EXIT_DEBUG)._replace(changes={"rax": 0x41, "rflags": 0x46})
    assert "step     eax=41 eflags=46" in line(step)


def test_the_table_says_whose_time_it_is() -> None:
    assert TextFormat(ON_KVM, uart).end() == "(TSC at 1000.000 MHz by KVM_GET_TSC_KHZ)\n"


def test_a_json_line() -> None:
    text = JsonLines(RatedClock(1e6, start=500), uart).events([event(tracing=7)])
    assert json.loads(text) == {
        "time_ns": 2000,
        "vcpu": 0,
        "exit": "KVM_EXIT_IO",
        "inside_ns": 1500,
        "outside_ns": 300,
        "tracing_ns": 7,
        "by": "C posted",
        "port": "0x3f8",
        "access": "write",
        "size": 1,
        "value": "0x41",
        "device": "UART",
        "rip": "0x1005",
        "address": "0x1004",
        "instruction": "out dx, al",
        "symbol": "main+0x4",
    }


def test_a_json_line_says_nothing_of_what_is_not_known() -> None:
    last = timed(record(reason=INTR, size=0, value=0, count=0, rip=0, handled=0))
    assert json.loads(JsonLines(CLOCK, no_device).events([last])) == {
        "time_ns": 2500,
        "vcpu": 0,
        "exit": "KVM_EXIT_INTR",
        "inside_ns": 1500,
        "by": "Python",
    }


def test_without_times_there_are_no_columns_for_them() -> None:
    form = TextFormat(EMULATED, uart)
    preface, head = form.begin().splitlines()
    assert preface == "(exits of an emulated guest, without times)"
    shown = form.events([untimed()])
    assert head.split() == ["cpu", "exit", "what", "device", "by", "address", "instruction"]
    for name, cell in (("what", "out 0x3f8"), ("device", "UART"), ("by", "C posted")):
        assert shown.index(cell) == head.index(name)
    assert form.end() == ""


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_without_times_has_room_for_more(width: int) -> None:
    form = TextFormat(EMULATED, uart, width)
    lines = (form.begin() + form.events([untimed()])).splitlines()
    assert max(map(len, lines)) <= width
    assert ("C posted" in lines[-1], "UART" in lines[-1]) == (width >= 100, width >= 100)


def test_a_json_line_without_times() -> None:
    members = json.loads(JsonLines(None, uart).events([untimed()]))
    timed_members = json.loads(JsonLines(CLOCK, uart).events([event()]))
    assert timed_members.items() - members.items() == {
        ("time_ns", 2500),
        ("inside_ns", 1500),
        ("outside_ns", 300),
    }
    assert members.keys() <= timed_members.keys()


def test_words_of_accesses() -> None:
    assert words.access(record()) == "out 0x3f8 = 0x41 'A'"
    assert words.access(record(value=0x0A)) == "out 0x3f8 = 0x0a"
    assert words.access(record(is_write=False)) == "in 0x3f8 = 0x41"
    assert words.access(record(is_write=False, count=16)) == "in 0x3f8 = 0x41 x 16"
    mmio = record(reason=lib.KVM_EXIT_MMIO, size=4, address=0xFEE00020)
    assert words.access(mmio) == "write 0xfee00020 = 0x00000041"
    msr = record(reason=lib.KVM_EXIT_X86_RDMSR, is_write=False, size=8, address=0x10)
    assert words.access(msr) == "rdmsr 0x10 = 0x0000000000000041"


def test_words_of_other_exits() -> None:
    nothing = {"size": 0, "count": 0, "is_write": False}
    assert words.access(record(reason=lib.KVM_EXIT_HLT, **nothing)) == ""
    assert words.access(record(reason=17, value=1, **nothing)) == "suberror 1"
    assert words.access(record(reason=INTR, **nothing)) == "tick or signal"
    assert exit_name(1000) == "reason 1000"


def test_who_answered() -> None:
    told = [words.handler(record(handled=handled)) for handled in range(5)]
    assert told == ["Python", "C posted", "C constant", "C native", "C"]
