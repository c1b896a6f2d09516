"""Why an emulated guest was left for good."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykvm.errors import GuestCrash, PykvmError
from pykvm.kvm.exits import Exit, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cpu.snapshot import CpuSnapshot


@dataclass(frozen=True, slots=True)
class EmulationFailed(Exit):
    """The emulator could not go on.

    Attributes:
        number: its error number (UC_ERR_*); 0 where pykvm's own part of it could not.
        words: what it says.
    """

    number: int
    words: str


def explain_failure(words: str, cpu: CpuSnapshot | None) -> str:
    """One sentence for a guest that ended so."""
    if cpu is not None and not cpu.code:
        return f"there is no RAM at {cpu.linear_rip:#x}, where the next instruction is"
    return f"the emulator could not go on: {words}"


def crash(
    look: Callable[[], CpuSnapshot], exit: Exit, explain: Callable[[CpuSnapshot | None], str]
) -> GuestCrash:
    """The error for a guest that cannot go on.

    Args:
        look: gives its registers; a crash matters more than a failure to read what belongs to it.
        exit: what ended it.
        explain: says why, in a sentence.
    """
    snapshot = None
    with suppress(PykvmError):
        snapshot = look()
    return GuestCrash(explain(snapshot), exit, snapshot)


def triple_fault(look: Callable[[], CpuSnapshot]) -> GuestCrash:
    """As `crash`, for a processor that shut down."""
    from pykvm.cpu.causes import explain

    end = Shutdown()
    return crash(look, end, lambda snapshot: explain(end, snapshot))


def failure(look: Callable[[], CpuSnapshot], number: int, words: str) -> GuestCrash:
    """As `crash`, for what the emulator cannot do; see `EmulationFailed`."""
    end = EmulationFailed(number, words)
    return crash(look, end, lambda snapshot: explain_failure(words, snapshot))
