"""AML, term by term, against bytes assembled by hand from the grammar."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.boot import aml
from tests.unit.acpi_reader import Aml


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (0, "01"),
        (62, "3f"),
        (63, "41 04"),  # 65 bytes with these two
        (4093, "4f ff"),
        (4094, "81 00 01"),  # 4097
        (0xFFFFF - 3, "8f ff ff"),
        (0x100000 - 3, "c1 00 00 01"),
        (0xFFFFFFF - 4, "cf ff ff ff"),
    ],
)
def test_package_lengths_count_themselves(content: int, encoding: str) -> None:
    assert aml.package_length(content).hex(" ") == encoding


def test_a_package_has_an_end() -> None:
    with pytest.raises(ValueError, match="no AML package holds"):
        aml.package_length(0x10000000 - 4)


@pytest.mark.parametrize(
    ("path", "encoding"),
    [
        ("_CRS", b"_CRS"),
        ("RTC", b"RTC_"),
        ("\\", b"\\\x00"),
        ("\\_S5", b"\\_S5_"),
        ("\\_SB.COM1", b"\\\x2e_SB_COM1"),
        ("A.B.C", b"\x2f\x03A___B___C___"),
    ],
)
def test_names(path: str, encoding: bytes) -> None:
    assert aml.name_string(path) == encoding


@pytest.mark.parametrize(
    "path", ["", "crs", "1ABC", "ABCDE", "A..B", "A.", ".", "\\.A", "Ä", "A\n"]
)
def test_what_is_no_name(path: str) -> None:
    with pytest.raises(ValueError, match="is not an ACPI name"):
        aml.name_string(path)


def test_a_name_has_at_most_255_segments() -> None:
    assert aml.name_string(".".join(["A"] * 255))[:2] == b"\x2f\xff"
    with pytest.raises(ValueError, match="more than 255 segments"):
        aml.name_string(".".join(["A"] * 256))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (0, "00"),
        (1, "01"),
        (2, "0a 02"),
        (0xFF, "0a ff"),
        (0x100, "0b 00 01"),
        (0x10000, "0c 00 00 01 00"),
        (0xFFFFFFFF, "0c ff ff ff ff"),
        (1 << 32, "0e 00 00 00 00 01 00 00 00"),
    ],
)
def test_integers_are_short(value: int, encoding: str) -> None:
    assert aml.integer(value).hex(" ") == encoding


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_what_is_no_integer(value: int) -> None:
    with pytest.raises(ValueError, match="is not a 64-bit integer"):
        aml.integer(value)


def test_strings() -> None:
    assert aml.string("ACPI0007") == b"\x0dACPI0007\x00"
    for wrong in ("a\0b", "ü"):
        with pytest.raises(ValueError, match="is not ASCII text"):
            aml.string(wrong)


@pytest.mark.parametrize(
    ("text", "number"),
    [("PNP0501", 0x0105D041), ("PNP0A03", 0x030AD041), ("ACP0000", 0x00007004)],
)
def test_eisa_ids(text: str, number: int) -> None:
    """The first two as any kernel's sources have them; A is 1, C is 3, P is 16."""
    assert aml.eisa_id(text) == number


@pytest.mark.parametrize("text", ["", "PNP050", "PNP05011", "pnp0501", "PNP05G1", "PN00501"])
def test_what_is_no_eisa_id(text: str) -> None:
    with pytest.raises(ValueError, match="is not an EISA identifier"):
        aml.eisa_id(text)


@pytest.mark.parametrize(
    ("term", "encoding"),
    [
        (aml.name("_UID", aml.integer(7)), "08 5f 55 49 44 0a 07"),
        (aml.package(aml.integer(0), aml.integer(5)), "12 05 02 00 0a 05"),
        (aml.buffer(b"\xaa\xbb"), "11 05 0a 02 aa bb"),
        (aml.scope("\\_SB"), "10 06 5c 5f 53 42 5f"),
        (aml.device("COM1"), "5b 82 05 43 4f 4d 31"),
        (aml.device("COM1", aml.name("_UID", b"\1")), "5b 82 0b 43 4f 4d 31 08 5f 55 49 44 01"),
        (aml.io_ports(0x3F8, 8), "47 01 f8 03 f8 03 01 08"),
        (aml.irq(4), "22 10 00"),
        (aml.resource_template(aml.irq(12)), "11 08 0a 05 22 00 10 79 00"),
    ],
)
def test_terms(term: bytes, encoding: str) -> None:
    assert term.hex(" ") == encoding


Value = int | str | bytes | list[int]

ENCODE: dict[type, Callable[..., bytes]] = {
    int: aml.integer,
    str: aml.string,
    bytes: aml.buffer,
    list: lambda values: aml.package(*map(aml.integer, values)),
}


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{3}", fullmatch=True),
        st.integers(0, 2**64 - 1)
        | st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=100)
        | st.binary(max_size=5000)
        | st.lists(st.integers(0, 2**64 - 1), max_size=20),
        max_size=20,
    )
)
def test_what_is_built_reads_back(values: dict[str, Value]) -> None:
    terms = [aml.name(name, ENCODE[type(value)](value)) for name, value in values.items()]
    read = Aml(aml.scope("\\_SB_", aml.device("DEV0", *terms), aml.device("DEV1")))
    assert read.devices == ["\\_SB_.DEV0", "\\_SB_.DEV1"]
    assert read.names == {f"\\_SB_.DEV0.{name}": value for name, value in values.items()}
