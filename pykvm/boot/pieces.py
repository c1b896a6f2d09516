"""Whether what is to lie in RAM can lie there."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm.boot.state import Piece
from pykvm.errors import ImageError
from pykvm.layout import ram_ranges
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.boot.e820 import Range

_KEPT = "what firmware keeps"


def check_pieces(pieces: tuple[Piece, ...], ram: int, reserved: Iterable[Range] = ()) -> None:
    """Each piece in RAM, none over another or over what firmware keeps.

    Raises:
        ImageError: naming the first piece that is not.
    """
    kept = tuple(Piece(r.base, b"", r.size, _KEPT) for r in reserved)
    previous: Piece | None = None
    for piece in sorted(pieces + kept, key=lambda p: p.gpa):
        if piece.name is not _KEPT and not _in_ram(piece, ram):
            raise ImageError(
                f"{piece.name} at {piece.gpa:#x}-{piece.end - 1:#x} is not inside the guest's "
                f"{ram >> 10} KiB of RAM (more: -m)"
            )
        if previous is None or piece.gpa >= previous.end:
            previous = piece
        elif piece.name is _KEPT and previous.name is _KEPT:
            previous = max(previous, piece, key=lambda p: p.end)
        else:
            raise ImageError(
                f"{piece.name} at {piece.gpa:#x}-{piece.end - 1:#x} overlaps {previous.name} "
                f"at {previous.gpa:#x}-{previous.end - 1:#x}"
            )


def _in_ram(piece: Piece, ram: int) -> bool:
    return any(
        start <= piece.gpa <= piece.end <= start + length for start, length in ram_ranges(ram)
    )
