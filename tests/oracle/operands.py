"""What Hypothesis draws instructions' operands from."""

from __future__ import annotations

from hypothesis import strategies as st

from pykvm.x86 import Mode
from tests.oracle.encoding import RAX, RBP, RDI, RDX, RSI, RSP, WINDOW, Operand, Place

_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
LARGEST = (1 << 64) - 1

values = st.one_of(
    st.sampled_from((*_EDGES, 1 << 63, LARGEST, LARGEST >> 1)), st.integers(0, LARGEST)
)
"""Numbers, those more often that arithmetic is done wrong with."""

_LOW_TARGETS = (RAX, RDX, RBP, RSI, RDI)
_LOW_BYTES = (RAX, RDX, RSP, RSI)  # AL, DL, AH and DH
_HIGH = tuple(range(8, 16))
_OFFSETS = st.integers(0, WINDOW - 8)


def sizes(mode: Mode, smallest: int = 1) -> st.SearchStrategy[int]:
    """Operand sizes from `smallest` bytes on."""
    all_sizes = (4, 2, 1) if mode is not Mode.LONG else (4, 8, 2, 1)
    return st.sampled_from([size for size in all_sizes if size >= smallest])


def targets(mode: Mode, size: int) -> st.SearchStrategy[int]:
    """Registers that a program may change: neither the counter, the stack nor RBX."""
    low = _LOW_BYTES if size == 1 else _LOW_TARGETS
    return st.sampled_from(low + _HIGH if mode is Mode.LONG else low)


def sources(mode: Mode) -> st.SearchStrategy[int]:
    """All registers."""
    return st.integers(0, 15 if mode is Mode.LONG else 7)


@st.composite
def places(draw: st.DrawFn, size: int, *, device: bool = True) -> Place:
    """Memory operands: anywhere in RAM, aligned ones of the device."""
    of_device = draw(st.booleans()) if device else False
    offset = draw(_OFFSETS)
    if of_device:
        offset &= -size
    return Place(offset, of_device, from_rbx=draw(st.booleans()), other_size=draw(st.booleans()))


def changed(mode: Mode, size: int) -> st.SearchStrategy[Operand]:
    """What an instruction may change."""
    return st.one_of(targets(mode, size), places(size))


def read(mode: Mode, size: int) -> st.SearchStrategy[Operand]:
    """What an instruction may read."""
    return st.one_of(sources(mode), places(size))
