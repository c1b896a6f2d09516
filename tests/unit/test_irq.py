"""Interrupt lines: levels in, changes out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykvm.irq import IrqLine, SharedLine


@given(levels=st.lists(st.booleans()))
def test_the_listener_hears_each_change_once(levels: list[bool]) -> None:
    heard: list[bool] = []
    line = IrqLine(heard.append)
    assert not line.level
    expected = []
    before = False
    for level in levels:
        line.set(level)
        assert line.level is level
        if level is not before:
            expected.append(level)
        before = level
    assert heard == expected


def test_the_listener_finds_the_line_at_its_new_level() -> None:
    """A controller may look at the line, and a device may be made to change it, from within."""
    seen = []

    def listen(level: bool) -> None:
        seen.append((level, line.level))
        line.set(False)

    line = IrqLine(listen)
    line.set(True)
    assert seen == [(True, True), (False, False)]
    assert not line.level


def test_a_line_that_leads_nowhere_keeps_its_level() -> None:
    line = IrqLine()
    line.set(True)
    assert line.level


def test_a_listener_that_comes_later_hears_what_changes_from_then_on() -> None:
    heard: list[bool] = []
    line = IrqLine()
    line.set(True)
    line.listener = heard.append
    line.set(True)
    line.set(False)
    assert heard == [False]


class TestSharedLine:
    """A line that several devices drive."""

    def test_it_is_asserted_while_any_device_asserts_it(self) -> None:
        heard: list[bool] = []
        shared = SharedLine()
        shared.line.listener = heard.append
        first, second = shared.new_input(), shared.new_input()
        first.set(True)
        second.set(True)
        first.set(False)
        assert heard == [True]
        second.set(False)
        assert heard == [True, False]

    def test_an_input_shows_its_own_level(self) -> None:
        shared = SharedLine()
        first, second = shared.new_input(), shared.new_input()
        first.set(True)
        assert (first.level, second.level, shared.line.level) == (True, False, True)
