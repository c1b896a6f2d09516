"""Code page 437: what the characters of a PC's text screen look like, in Unicode."""

from __future__ import annotations

_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
_HOUSE = "⌂"

GLYPHS = (
    _LOW
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + _HOUSE
    + bytes(range(0x80, 0xFF)).decode("cp437")
    + " "
)
"""The 256 glyphs by code; 0 and 255 are blank."""

_CODES = {glyph: code for code, glyph in enumerate(GLYPHS[1:], start=1)} | {" ": 0x20}


def encode(character: str) -> int | None:
    """The code of a Unicode character; None if it has none."""
    return _CODES.get(character)
