"""Results from files that anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.bench.reading import LARGEST, parse_result, read_result
from pykvm.bench.result import Ratio, Skipped, to_json
from pykvm.errors import BenchError
from tests.unit.bench.recorded import RUNS, made, recorded, result

RESULT = result(
    made("cpuid", [1.0, 2.0, 3.0]),
    Skipped("hypercall", "VMCALL", "hangs"),
    scale=[Ratio("pool", "bare", 1.2, 1.1, 1.3, 50, goal=1.5)],
)


def damaged(change: Callable[[Any], None]) -> bytes:
    document = json.loads(json.dumps(to_json(RESULT)))
    change(document)
    return json.dumps(document).encode()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(to_json(RESULT)), encoding="utf-8")
    assert read_result(str(path)) == RESULT


@pytest.mark.parametrize("name", RUNS)
def test_recorded_results_are_read(name: str) -> None:
    assert recorded(name).command == "pykvm bench exits"


DAMAGES: dict[str, Callable[[Any], Any]] = {
    "no command": lambda d: d.update(command=7),
    "a list for the host": lambda d: d.update(host=[]),
    "no verdict": lambda d: d.update(verdict={"stable": 1, "words": ""}),
    "a text for a figure": lambda d: d["rows"][0]["rounds"][0]["total"].update(p50="fast"),
    "a figure below 0": lambda d: d["rows"][0]["rounds"][0]["ticks"].update(p50=-1.0),
    "no rounds": lambda d: d["rows"][0].update(rounds=[]),
    "no count": lambda d: d["rows"][0]["rounds"][0].update(count="many"),
    "a text in the histogram": lambda d: d["rows"][0]["rounds"][0].update(histogram=["abc"]),
    "half a bucket": lambda d: d["rows"][0]["rounds"][0].update(histogram=[[1, 2]]),
    "no kind": lambda d: d["rows"][0].update(kind=None),
    "a kind twice": lambda d: d["rows"].append(d["rows"][0]),
    "no unit": lambda d: d["rows"][0].update(unit=1),
    "no reason": lambda d: d["rows"][1].update(reason=None),
    "a ratio without figures": lambda d: d["scale"][0].update(low=None),
    "rows that are none": lambda d: d.update(rows=[1, 2]),
    "rows that are a number": lambda d: d.update(rows=3),
    "another member": lambda d: d.update(more=3),
    "a later schema": lambda d: d.update(schema=2),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found(damage: Callable[[Any], None]) -> None:
    with pytest.raises(BenchError):
        parse_result(damaged(damage))


def test_what_is_not_json_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{\n"schema": 1,\nnonsense', encoding="utf-8")
    with pytest.raises(BenchError) as caught:
        read_result(str(path))
    assert str(caught.value) == f"'{path}': not JSON, as `pykvm bench --json` writes it (line 3)"


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b'{"schema": 1e999}', b"null"]
)
def test_nonsense_is_refused(content: bytes) -> None:
    with pytest.raises(BenchError):
        parse_result(content)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(BenchError, match=why):
            read_result(str(path))
    with pytest.raises(BenchError, match="null byte"):
        read_result("a\0b")


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    with path.open("wb") as file:
        file.truncate(LARGEST + 2)
    with pytest.raises(BenchError, match="larger than 64 MiB"):
        read_result(str(path))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.data())
def test_any_value_in_any_place_is_a_result_or_one_line(data: st.DataObject) -> None:
    document = json.loads(json.dumps(to_json(RESULT)))
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(VALUES)
    try:
        parse_result(json.dumps(document).encode())
    except BenchError as error:
        assert "\n" not in str(error)
