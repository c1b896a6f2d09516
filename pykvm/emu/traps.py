"""What an emulated processor is debugged for: breakpoints, watched memory, single steps.

Nothing of it is in the guest: C looks before each instruction and at each access to memory, while
there is something to look for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm._shim import ffi, lib
from pykvm.emu.events import exception
from pykvm.emu.hooks import address_of
from pykvm.emu.outcomes import Outcome, Raised
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykvm.emu.engine import Engine

ANY_NUMBER = (1 << 64) - 1
_BITS = 64


class Seen(NamedTuple):
    """An access that may be to what is watched.

    Attributes:
        address: guest-physical, of its first byte.
        size: in bytes; in another page it goes on wherever that is.
        is_write: else a read.
    """

    address: int
    size: int
    is_write: bool


class Traps:
    """Has a processor stop where it is to be looked at.

    Args:
        engine: the processor, which is not running.

    Attributes:
        steps: whether one instruction does; interrupts wait meanwhile.
        seen: accesses of the last instruction, for who decides whether they were to be met.
        is_step_done: whether one instruction was executed, or something came instead.
        is_at_breakpoint: whether it has stopped at one.
    """

    def __init__(self, engine: Engine) -> None:
        self._traps: Any = ffi.new("struct shim_traps *")
        self._breakpoints: Any = ffi.NULL
        self._hooks: dict[int, int] = {}
        self.steps = self.is_step_done = False
        self._use(engine)
        self.arm()

    def _use(self, engine: Engine) -> None:
        from unicorn import unicorn_const as const
        from unicorn import x86_const as x86

        self._engine = engine
        self._traps.count_id, self._traps.stack_id = x86.UC_X86_REG_RCX, x86.UC_X86_REG_RSP
        self._traps.read_register = address_of("uc_reg_read")
        self._traps.stop = address_of("uc_emu_stop")
        self._code, self._memory = const.UC_HOOK_CODE, const.UC_HOOK_MEM_READ
        self._memory |= const.UC_HOOK_MEM_WRITE

    def move_to(self, engine: Engine) -> None:
        """Go on with another one, that has taken the old one's place."""
        hooks, self._hooks = self._hooks, {}
        self._use(engine)
        self._have(self._code, self._code in hooks)
        self._have(self._memory, self._memory in hooks)

    def arm(
        self,
        *,
        breakpoints: Collection[int] = (),
        watched: Collection[range] = (),
        step: bool = False,
    ) -> None:
        """Say what is to stop it, before it runs.

        Args:
            breakpoints: linear addresses.
            watched: ranges of linear addresses, of which accesses are `seen`.
            step: one instruction does.
        """
        traps = self._traps
        self._breakpoints = ffi.new("uint64_t[]", sorted(breakpoints))
        traps.breakpoints, traps.breakpoint_count = self._breakpoints, len(breakpoints)
        words = [0] * len(traps.watched)
        for place in (linear % PAGE_SIZE for bytes_ in watched for linear in bytes_):
            words[place // _BITS] |= 1 << place % _BITS
        traps.watched = words
        self.steps = step
        traps.is_followed = bool(watched or step)
        self.go_on()
        traps.left = 1 if step else ANY_NUMBER
        self.is_step_done = False
        self._have(self._memory, bool(watched))
        self._have(self._code, bool(breakpoints or watched or step))

    def _have(self, kind: int, wanted: bool) -> None:
        """Have Unicorn call C, or not: it costs time, also where there is nothing to be met."""
        if wanted == (kind in self._hooks):
            return
        if wanted:
            function = "shim_trap_instruction" if kind == self._code else "shim_trap_access"
            self._hooks[kind] = self._engine.add_hook(kind, function, self._traps)
        else:
            self._engine.remove_hook(self._hooks.pop(kind))
        self._engine.forget_code()  # calls are translated with it

    def release(self) -> None:
        """Be met by nothing any more; the engine may be gone already."""
        self.arm()

    @property
    def seen(self) -> list[Seen]:
        """See the class."""
        traps = self._traps
        return [
            Seen(access.address, access.size, bool(access.is_write))
            for access in traps.seen[0 : traps.seen_count]
        ]

    @property
    def is_at_breakpoint(self) -> bool:
        """See the class."""
        return bool(self._traps.met == lib.SHIM_TRAP_BREAKPOINT)

    def look(self, outcome: Outcome | None) -> bool:
        """Whether there is something to be met, since the emulator has returned.

        Args:
            outcome: what it has returned, which is dealt with; None: it was interrupted from
                outside instead.
        """
        traps = self._traps
        came_instead = outcome is None or (
            isinstance(outcome, Raised)
            and not outcome.is_software
            and exception(outcome.vector, outcome.error_code).is_fault
        )
        if came_instead:
            traps.seen_count = 0  # the instruction is not done
        if self.steps and (came_instead or not traps.left):
            self.is_step_done = True
        return bool(self.is_step_done or traps.met or traps.seen_count)

    def go_on(self) -> None:
        """It was nothing: look for the next."""
        self._traps.begun = ANY_NUMBER
        self._traps.met = lib.SHIM_NO_TRAP
        self._traps.seen_count = 0
