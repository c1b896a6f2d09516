"""The story as text and as a page: what is escaped, what fits, what the picture adds up to."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.kvm.recorder import Record
from pykvm.trace.story_html import as_html
from pykvm.trace.story_picture import SPAN, picture, tick_step
from pykvm.trace.story_text import as_text
from pykvm.trace.story_words import duration
from tests.unit.trace.story_rig import in_a_row, record, story_of, tick, turns_of

VOID = {"meta", "br", "hr", "link", "img", "input"}
RECORDS = in_a_row(
    *[record(handled=1), record(is_write=False, address=0x3FD, handled=2)] * 20, tick(), record()
)


class Checker(HTMLParser):
    """Holds that each element is closed where it should be; keeps attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_page_is_well_formed() -> None:
    page = as_html(story_of(RECORDS, output="Hello.\n"))
    assert page.startswith("<!DOCTYPE html>\n")
    checker = Checker(page)
    assert {"h1", "svg", "ol", "figure"} <= set(re.findall(r"<(\w+)", page))
    assert "turn 1" in checker.text


def test_the_page_needs_nothing_but_itself() -> None:
    page = as_html(story_of(RECORDS))
    assert "://" not in page
    assert "<script" not in page
    assert "url(" not in page.replace("url(#both)", "")
    assert 'id="both"' in page
    assert "@import" not in page
    checker = Checker(page)
    assert not [a for a in checker.attributes if a[1] in ("src", "href", "srcset", "xlink:href")]
    assert not [a for a in checker.attributes if a[1].startswith("on")]


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", '"><img src=x>', "&amp;", "]]>'"])
def test_what_the_guest_and_the_file_name_say_is_text(evil: str) -> None:
    page = as_html(story_of(RECORDS, title=evil, output=evil, end=(evil,), facts=(evil,)))
    checker = Checker(page)
    assert checker.text.count(evil) >= 4
    assert "<script" not in page
    assert "<img" not in page


def test_a_story_without_a_turn_is_one_too() -> None:
    assert "<svg" not in as_html(story_of([]))
    assert "0 exits" in as_text(story_of([]))


def test_the_page_says_what_the_text_says() -> None:
    story = story_of(RECORDS, output="Hello.\n")
    said = " ".join(Checker(as_html(story)).text.split())
    for part in (
        *(step.call for step in story.setup),
        *(step.lesson.why for step in story.setup if step.lesson),
        *story.hidden,
        *story.end,
    ):
        assert " ".join(part.split()) in said


runs = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=8)


@given(runs)
def test_the_blocks_of_the_picture_are_to_scale(lengths: list[tuple[int, int]]) -> None:
    records: list[Record] = []
    at = 0
    for inside, outside in lengths:
        records.append(record(entered=at, left=at + inside, handled=outside % 2))
        at += inside + outside
    turns = turns_of(records)
    root = ElementTree.fromstring(picture(turns))
    blocks = [
        (float(e.attrib["x"]), float(e.attrib["width"]))
        for e in root.iter("rect")
        if e.attrib["class"] in ("inside", "by-c", "by-python")
    ]
    total = sum(turn.inside_ns + (turn.outside_ns or 0) for turn in turns)
    assert sum(width for _, width in blocks) == pytest.approx(SPAN if total else 0, abs=0.02)
    for (x, width), (following, _) in itertools.pairwise(blocks):
        assert x + width == pytest.approx(following, abs=0.005)


@given(st.integers(0, 10**15))
def test_an_axis_has_some_ticks_and_not_many(total: int) -> None:
    step = tick_step(total)
    assert total // step < 10
    assert total < 4 or total // step >= 3
    assert str(step).strip("0") in ("1", "2", "5")


@given(st.integers(60, 200))
def test_text_is_as_wide_as_the_terminal(width: int) -> None:
    text = as_text(story_of(RECORDS, output="Hello.\n"), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert text.endswith("\n")


def test_styles_are_only_for_terminals() -> None:
    story = story_of(RECORDS)
    plain, styled = as_text(story), as_text(story, styled=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[012]m", "", styled) == plain
    assert styled.count("\x1b[0m") == styled.count("\x1b[1m") + styled.count("\x1b[2m") > 0


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 us"),
        (12_345, "12.3 us"),
        (999_499, "999 us"),
        (999_500, "1.00 ms"),
        (1_500_000_000, "1.50 s"),
        (3_600_000_000_000, "3600 s"),
    ],
)
def test_times(ns: int, words: str) -> None:
    assert duration(ns) == words


@given(st.integers(0, 10**15))
def test_times_have_three_digits(ns: int) -> None:
    number, unit = duration(ns).split()
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    assert float(number) * factor == pytest.approx(ns, rel=0.006)
