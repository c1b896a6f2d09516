"""What becomes of a packet."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from pykvm.gdb.resumes import Resume


class Leave(Enum):
    """How a client ends a conversation."""

    DETACH = "detach"
    """The guest runs on."""
    KILL = "kill"
    """The run is over."""


class Answer(NamedTuple):
    """What becomes of a packet.

    Attributes:
        packets: what is sent at once, in order.
        then: how the guest goes on, or how the client leaves; None: it waits for more packets.
    """

    packets: tuple[bytes, ...]
    then: Resume | Leave | None = None
