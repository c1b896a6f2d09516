"""Memory for people: hexdumps, and where in it something is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pykvm.x86 import PAGE_SIZE

WIDTH = 16

Read = Callable[[int, int], "bytes | None"]
"""Given an address and a length: the bytes there, or None where not all of that is RAM."""


def hexdump(data: bytes, address: int = 0) -> list[str]:
    """Lines of 16 bytes as `hexdump -C` has them: address, bytes, characters.

    Lines that are like the one before them are left out, with one `*` for all.  A first line that
    does not begin at a multiple of 16 is indented.

    Args:
        data: the bytes.
        address: of the first one.
    """
    if not data:
        return []
    digits = 16 if address + len(data) > 1 << 32 else 8
    lines: list[str] = []
    last = b""
    start = address - address % WIDTH
    for line in range(start, address + len(data), WIDTH):
        begin, end = max(line, address), min(line + WIDTH, address + len(data))
        row = data[begin - address : end - address]
        if row == last and len(row) == WIDTH and end < address + len(data):
            if lines[-1] != "*":
                lines.append("*")
            continue
        last = row
        lines.append(f"{line:0{digits}x}  {_row(row, begin - line)}")
    return lines


def _row(row: bytes, indent: int) -> str:
    cells = ["  "] * indent + [f"{byte:02x}" for byte in row]
    cells += ["  "] * (WIDTH - len(cells))
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
    return f"{' '.join(cells[:8])}  {' '.join(cells[8:])}  |{' ' * indent}{text}|"


def search(read: Read, pattern: bytes, start: int, end: int, *, limit: int = 1000) -> Iterator[int]:
    """The addresses at which `pattern` lies, overlapping ones too, lowest first.

    Args:
        read: memory; asked for no more than a page at a time.
        pattern: at least one byte.
        start, end: where it may begin, and the first address that it must not reach.
        limit: how many to find at the most.

    Raises:
        ValueError: the pattern is empty.
    """
    if not pattern:
        raise ValueError("an empty pattern is everywhere")
    keep = len(pattern) - 1
    window, at = b"", start
    found = 0
    while at < end:
        size = min(PAGE_SIZE - at % PAGE_SIZE, end - at)
        page = read(at, size)
        window = b"" if page is None else window + page
        at += size
        first = at - len(window)
        place = window.find(pattern)
        while place >= 0:
            if found == limit:
                return
            found += 1
            yield first + place
            place = window.find(pattern, place + 1)
        window = window[-keep:] if keep else b""
