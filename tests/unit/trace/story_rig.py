"""Records and calls as a run would have left them, for stories."""

from __future__ import annotations

from typing import Any

from pykvm.debug.disasm import Instruction, disassemble
from pykvm.kvm.decode import REASONS
from pykvm.kvm.journal import Call
from pykvm.kvm.recorder import Record
from pykvm.trace.event import Occurrence
from pykvm.trace.story import Story, Totals, Turn, add_up, fold, tell_setup, to_draw
from pykvm.trace.turns import tell_turns
from tests.unit.trace import by_hand

IO, MMIO, HLT, INTR, SHUTDOWN = (
    REASONS.index(name) for name in ("IO", "MMIO", "HLT", "INTR", "SHUTDOWN")
)

OPENED = Call("open", "", {"path": "/dev/kvm"}, 5, 100, 18_000)
MADE = Call("KVM_CREATE_VM", "system", {}, 6, 20_000, 300_000)
ASKED = Call("KVM_CHECK_EXTENSION", "VM", {"value": 3}, 1, 330_000, 1_000)
MEMORY = Call(
    "KVM_SET_USER_MEMORY_REGION",
    "VM",
    {
        "slot": 0,
        "flags": 0,
        "guest_phys_addr": 0,
        "memory_size": 1 << 20,
        "userspace_addr": 0x7000000,
    },
    0,
    340_000,
    5_000,
)
SETUP = (OPENED, MADE, ASKED, ASKED, MEMORY)


def record(**fields: Any) -> Record:
    """A one-byte OUT to port 0x3F8 at 0x1000, that took ticks 0 to 100 and that Python answered."""
    defaults = {"entered": 0, "left": 100, "rip": 0x1000, "handled": 0}
    return by_hand.record(**{**defaults, **fields})


def tick(**fields: Any) -> Record:
    """A KVM_RUN that a signal ended."""
    nothing = {"address": 0, "value": 0, "rip": 0, "count": 0, "size": 0, "is_write": False}
    return record(**{**nothing, "reason": INTR, "code_width": 0, **fields})


def in_a_row(*records: Record, inside: int = 100, outside: int = 10) -> list[Record]:
    """The same, one after the other in time."""
    step = inside + outside
    return [r._replace(entered=i * step, left=i * step + inside) for i, r in enumerate(records)]


def instruction(code: str, address: int = 0x1000, bits: int = 16) -> Instruction:
    """One instruction, from hexadecimal."""
    return disassemble(bytes.fromhex(code), address, bits)[0]


def device(of: Occurrence) -> str | None:
    """The devices of this machine."""
    return "UART" if of.reason == IO and of.address == 0x3F8 else None


def turns_of(
    records: list[Record],
    instructions: list[Instruction | None] | None = None,
    calls: list[Call] | None = None,
) -> tuple[Turn, ...]:
    """Turns where a tick is a ns, and calls began at the tick that their `start` says."""
    return tell_turns(
        records,
        instructions or [None] * len(records),
        calls or [],
        ns=lambda ticks: ticks,
        tick_of=lambda call: call.start,
        device=device,
    )


def story_of(records: list[Record], **parts: Any) -> Story:
    """A whole story of them."""
    turns = turns_of(records)
    totals = add_up(records, turns) if records else Totals(0, 0, 0, 0, 0)
    story = Story(
        "guest.bin",
        ("1 MiB of RAM",),
        tell_setup(SETUP),
        fold(turns),
        to_draw(turns),
        totals,
        ("Nothing was counted.",),
        ("The guest halted.",),
        None,
    )
    return story._replace(**parts)
