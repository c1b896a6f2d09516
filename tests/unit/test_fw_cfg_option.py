"""What --fw-cfg understands, and where its content comes from."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.cli.fw_cfg import FwCfgOption, parse
from pykvm.devices.fw_cfg_items import FILE_NAME_MAX
from pykvm.errors import FwCfgError


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("name=opt/a,string=b", FwCfgOption("opt/a", "b", None)),
        ("opt/a,string=b", FwCfgOption("opt/a", "b", None)),
        ("string=b,name=opt/a", FwCfgOption("opt/a", "b", None)),
        ("name=opt/a,file=/tmp/x", FwCfgOption("opt/a", None, "/tmp/x")),
        ("name=opt/a,string=", FwCfgOption("opt/a", "", None)),
        ("name=opt/a,string=x=y", FwCfgOption("opt/a", "x=y", None)),
        ("name=opt/a,string=1,,2,,,,3", FwCfgOption("opt/a", "1,2,,3", None)),
        ("name=a,,b,string=,,", FwCfgOption("a,b", ",", None)),
        ("name=opt/a=b,string=c", FwCfgOption("opt/a=b", "c", None)),
    ],
)
def test_what_it_means(text: str, option: FwCfgOption) -> None:
    assert parse(text) == option


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not one name and one content"),
        ("opt/a", "not one name and one content"),
        ("string=x", "not one name and one content"),
        ("name=opt/a,string=x,file=y", "not one name and one content"),
        ("name=opt/a,string=x,string=y", "has string= twice"),
        ("opt/a,string=x,name=opt/b", "has name= twice"),
        ("name=opt/a,string=x,y", "'y' is none of name=, string= and file= (a comma"),
        ("name=opt/a,gen_id=x", "'gen_id=x' is none of"),
        ("opt/a=b,string=c", "'opt/a=b' is none of"),
        ("name=,string=c", "name is printable ASCII"),
        ("name=opt/ä,string=c", "name is printable ASCII"),
        (f"name={'n' * 56},string=c", "at most 55 characters, not 56"),
    ],
)
def test_what_it_does_not_understand(text: str, complaint: str) -> None:
    with pytest.raises(ArgumentTypeError) as error:
        parse(text)
    assert complaint in str(error.value)


@given(
    name=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1).filter(
        lambda name: len(name) <= FILE_NAME_MAX
    ),
    content=st.text(),
    first=st.booleans(),
)
def test_any_value_can_be_said(name: str, content: str, first: bool) -> None:
    parts = [f"name={name.replace(',', ',,')}", f"string={content.replace(',', ',,')}"]
    option = parse(",".join(parts if first else reversed(parts)))
    assert option == FwCfgOption(name, content, None)


@given(st.text(st.sampled_from("name=string=file=,,opt/a")))
def test_any_text_is_survived(text: str) -> None:
    try:
        option = parse(text)
    except ArgumentTypeError as error:
        assert str(error).count("\n") == 0
    else:
        assert option.name


class TestContent:
    def test_a_string_has_no_end_mark(self) -> None:
        assert FwCfgOption("opt/a", "ä", None).content() == "ä".encode()

    def test_bytes_that_are_no_text_stay(self) -> None:
        assert FwCfgOption("opt/a", os.fsdecode(b"\xff"), None).content() == b"\xff"

    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "content"
        path.write_bytes(b"\0\1\xff")
        assert FwCfgOption("opt/a", None, str(path)).content() == b"\0\1\xff"

    def test_an_empty_file_is_a_content(self, tmp_path: Path) -> None:
        (tmp_path / "content").touch()
        assert FwCfgOption("opt/a", None, str(tmp_path / "content")).content() == b""

    def test_a_file_that_no_directory_entry_can_tell_of(self, tmp_path: Path) -> None:
        path = tmp_path / "content"
        path.touch()
        os.truncate(path, 1 << 32)
        with pytest.raises(FwCfgError, match="smaller than 4 GiB"):
            FwCfgOption("opt/a", None, str(path)).content()

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for path, complaint in (
            (tmp_path / "missing", "No such file"),
            (tmp_path, "Is a directory"),
            (tmp_path / "fifo", "not a regular file"),
            (Path("/dev/zero"), "not a regular file"),
            ("a\0b", "null byte"),
        ):
            with pytest.raises(FwCfgError, match=complaint):
                FwCfgOption("opt/a", None, str(path)).content()
