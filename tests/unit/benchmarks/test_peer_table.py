"""Figures, the table made of them, and the page that it goes into."""

from __future__ import annotations

from pathlib import Path

import pytest
from peer_table import BEGIN, END, HEADER, Figure, markdown, replace_part

PAIRS = [(10.0, 20.0), (11.0, 20.0), (30.0, 20.0)]


def figure(goal: float | None = None, most_more: float | None = None) -> Figure:
    return Figure("ours", "theirs", PAIRS, "ns", goal, most_more)


def test_medians_are_of_the_pairs_ratios_and_differences() -> None:
    assert figure().medians == (11.0, 20.0)
    assert figure().ratio == (0.55, 0.5, 1.5)
    assert figure().difference == (-9.0, -10.0, 10.0)


@pytest.mark.parametrize(
    ("goal", "most_more", "says"),
    [
        (None, None, ""),
        (0.55, None, "<= 0.55: met"),
        (0.5, None, "<= 0.5: **missed**"),
        (1, -10, "<= 1: met, <= + -10 ns: **missed**"),
        (None, -9, "<= + -9 ns: met"),
    ],
)
def test_a_verdict_names_each_goal(goal: float | None, most_more: float | None, says: str) -> None:
    assert figure(goal, most_more).verdict == says


def test_a_line_has_all_of_it() -> None:
    assert figure(0.5).line == (
        "ours / theirs: 0.550 (0.500 to 1.500), 3 pairs; goal <= 0.5: missed\n"
        "    11 ns, 20 ns; -9 (-10 to +10) more"
    )


def test_milliseconds_have_a_decimal() -> None:
    cells = figure()._replace(unit="ms").cells
    assert cells[2:4] == ("11.0 ms, 20.0 ms", "-9.0 (-10.0 to +10.0)")


def test_the_table_has_as_many_cells_as_its_head() -> None:
    text = markdown("make it", "a host", ["QEMU is not installed: left out"], [figure()] * 2)
    lines = text.splitlines()
    assert lines[:3] == ["`make it` on a host:", "QEMU is not installed: left out.", ""]
    assert tuple(lines[3:5]) == HEADER
    assert len(lines) == 7
    assert {line.count("|") for line in lines[3:]} == {8}


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    replace_part(page, "new")
    replace_part(page, "newer")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="needs one line"):
        replace_part(page, "new")
    assert page.read_text(encoding="utf-8") == text


def test_the_readme_has_its_marks() -> None:
    text = (Path(__file__).parents[3] / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
