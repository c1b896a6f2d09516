"""Keys as INT 16h returns them: the scan code in the high byte, the character in the low one.

The layout is the US one.  Sources: Ralf Brown's Interrupt List, INT 16h, table 00006;
IBM Enhanced Keyboard (101 keys), scan code set 1.
"""

from __future__ import annotations

from pykvm.bios import cp437

_ROWS = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
)
"""From which scan code on, unshifted and shifted."""

PLAIN = {first + i: char for first, row, _ in _ROWS for i, char in enumerate(row)}
"""The characters of the keys by scan code."""

SHIFTED = {first + i: char for first, _, row in _ROWS for i, char in enumerate(row)}
"""The same with a shift key held."""

ESCAPE, BACKSPACE, TAB, ENTER = 0x011B, 0x0E08, 0x0F09, 0x1C0D

_CONTROL_KEYS = {
    0x00: 0x0300,
    0x1B: ESCAPE,
    0x1C: 0x2B1C,
    0x1D: 0x1B1D,
    0x1E: 0x071E,
    0x1F: 0x0C1F,
    0x08: BACKSPACE,
    0x7F: BACKSPACE,
    0x09: TAB,
    0x0A: ENTER,
    0x0D: ENTER,
}


def _from_terminal() -> dict[int, int]:
    """The key that a byte from a terminal stands for."""
    keys = {ord(char): scan << 8 | ord(char) for scan, char in SHIFTED.items()}
    keys |= {ord(char): scan << 8 | ord(char) for scan, char in PLAIN.items()}
    for scan, char in PLAIN.items():
        if char.isalpha():
            keys[ord(char) & 0x1F] = scan << 8 | ord(char) & 0x1F
    return keys | _CONTROL_KEYS


_KEYS = _from_terminal()

# grey keys: on an enhanced keyboard they have E0 for a character
UP, DOWN, RIGHT, LEFT = 0x48E0, 0x50E0, 0x4DE0, 0x4BE0
HOME, END, PAGE_UP, PAGE_DOWN = 0x47E0, 0x4FE0, 0x49E0, 0x51E0
INSERT, DELETE = 0x52E0, 0x53E0
F1, F11, F12 = 0x3B00, 0x8500, 0x8600

_SEQUENCES = {
    b"[A": UP,
    b"[B": DOWN,
    b"[C": RIGHT,
    b"[D": LEFT,
    b"OA": UP,
    b"OB": DOWN,
    b"OC": RIGHT,
    b"OD": LEFT,
    b"[H": HOME,
    b"[F": END,
    b"OH": HOME,
    b"OF": END,
    b"[1~": HOME,
    b"[2~": INSERT,
    b"[3~": DELETE,
    b"[4~": END,
    b"[5~": PAGE_UP,
    b"[6~": PAGE_DOWN,
    b"[Z": 0x0F00,
    **{b"O" + bytes((0x50 + i,)): F1 + (i << 8) for i in range(4)},
    **{b"[%d~" % (11 + i): F1 + (i << 8) for i in range(5)},
    **{b"[%d~" % (17 + i): F1 + (5 + i << 8) for i in range(5)},
    b"[23~": F11,
    b"[24~": F12,
}
"""What xterm and its like send behind ESC."""

_LONGEST = max(map(len, _SEQUENCES))


def keys_from(data: bytes) -> list[int]:
    """The keys for what a terminal sent in one piece.

    Known control sequences are cursor and function keys; an ESC that begins none is the Escape
    key, before a letter or digit the Alt key.  Characters beyond ASCII that code page 437 has
    come as if typed by their number; others are dropped.
    """
    keys = []
    at = 0
    while at < len(data):
        byte = data[at]
        key: int | None
        if byte == 0x1B:
            key, length = _escape(data[at + 1 : at + 1 + _LONGEST])
        elif byte < 0x80:
            key, length = _KEYS.get(byte), 1
        else:
            key, length = _beyond_ascii(data[at : at + 4])
        if key is not None:
            keys.append(key)
        at += length
    return keys


def _escape(rest: bytes) -> tuple[int, int]:
    """The key for ESC and what follows, and how many bytes it took."""
    for length in range(_LONGEST, 1, -1):
        key = _SEQUENCES.get(rest[:length])
        if key is not None and len(rest) >= length:
            return key, 1 + length
    if rest[:1].isalnum():
        return alt_key(_KEYS[rest[0]] >> 8), 2
    return ESCAPE, 1


def _beyond_ascii(data: bytes) -> tuple[int | None, int]:
    """One UTF-8 character at the front."""
    for length in range(2, len(data) + 1):
        try:
            return cp437.encode(data[:length].decode()), length
        except UnicodeDecodeError:
            continue
    return None, 1


def alt_key(scan: int) -> int:
    """The key with Alt held: no character, and scan codes of their own in the top row."""
    if 0x02 <= scan <= 0x0D:
        return scan + 0x76 << 8
    return scan << 8
