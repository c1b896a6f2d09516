"""Sizes as people write and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.errors import GuestMemoryError
from pykvm.sizes import parse_size, size_words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("65536", 65536),
        ("65536B", 65536),
        ("64K", 65536),
        ("64k", 65536),
        ("64KB", 65536),
        ("64KiB", 65536),
        ("64kib", 65536),
        ("16M", 16 << 20),
        ("1G", 1 << 30),
        ("3GiB", 3 << 30),
        ("1T", 1 << 40),
        ("007M", 7 << 20),
        (" 2M\n", 2 << 20),
    ],
)
def test_what_a_size_means(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "0", "0M", "00", "12Q", "M", "B", "iB", "KiB", "-1", "-1M", "+1M", "1.5G"),
        *("1e3", "0x1000", "1 M", "1MM", "1KM", "1BB", "1iB", "64Ki", "64BiB", "64iBB", "1_000"),
        *("1,000", "\N{SUPERSCRIPT TWO}M", "\N{ARABIC-INDIC DIGIT TWO}M", "1\0", "inf"),
        "1\N{KELVIN SIGN}",
        "9" * 5000,
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(GuestMemoryError, match="is not a memory size"):
        parse_size(text)


@given(text=st.text() | st.text("0123456789kKmMgGtTiIbB .-"))
def test_any_text_is_a_size_or_a_clear_error(text: str) -> None:
    try:
        size = parse_size(text)
    except GuestMemoryError as error:
        size, told = 1, str(error)
    else:
        told = ""
    assert size > 0
    assert "\n" not in told


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (100, "100 bytes"),
        (12288, "12 KiB"),
        (12289, "12289 bytes"),
        (1 << 24, "16 MiB"),
        (1 << 32, "4 GiB"),
        (1 << 40, "1 TiB"),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words
