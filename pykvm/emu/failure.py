"""Why an emulated guest was left for good, where KVM has no word for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykvm.kvm.exits import Exit

if TYPE_CHECKING:
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
