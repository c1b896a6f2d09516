"""When an emulated processor is interrupted from outside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pykvm.cpu.injection import SHORTEST_LOOK_NS

if TYPE_CHECKING:
    from pykvm.isa_interrupts import IsaInterrupts


class Interrupts:
    """The interrupt controllers as their processor asks them; without any, nothing interrupts.

    All is called under the machine's lock.

    Args:
        isa: the controllers; None for a machine without.
    """

    def __init__(self, isa: IsaInterrupts | None) -> None:
        self._isa = isa
        self._looked = 0  # when a tick was last found due

    def next_look(self, limit: int) -> int:
        """When the timer is to be looked at, `limit` at the latest (CLOCK_MONOTONIC, ns)."""
        event = None if self._isa is None else self._isa.next_event()
        return limit if event is None else min(max(event, self._looked + SHORTEST_LOOK_NS), limit)

    @property
    def have_timer(self) -> bool:
        """Whether the timer will tick."""
        return self._isa is not None and self._isa.next_event() is not None

    def look(self) -> None:
        """Have the timer tick if it is time."""
        if self._isa is None:
            return
        now = time.monotonic_ns()
        event = self._isa.next_event()
        # its line keeps the guest from its next instruction, which is to come at last
        if event is not None and event <= now and now >= self._looked + SHORTEST_LOOK_NS:
            self._looked = now
            self._isa.poll()

    @property
    def are_pending(self) -> bool:
        """Whether there is one."""
        return self._isa is not None and self._isa.intr.level

    @property
    def may_come(self) -> bool:
        """Whether there could be one, as the controllers are set now."""
        return self._isa is not None and self._isa.may_interrupt()

    def take(self) -> int:
        """The processor takes the one that is pending: its vector."""
        assert self._isa is not None
        return self._isa.acknowledge()
