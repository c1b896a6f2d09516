"""An entry of the IOAPIC's redirection table, and the message that it makes.

The entry's layout and its bits' meanings are the 82093AA datasheet's, 3.2.4.  Messages go to the
local APICs as memory writes, in the format that they take (SDM vol. 3A, 11.11) and that later
IOAPICs send (ICH10 datasheet, table 5-18).
"""

from __future__ import annotations

from typing import NamedTuple

VECTOR = 0xFF
DELIVERY_MODE_SHIFT = 8
DELIVERY_MODE = 7 << DELIVERY_MODE_SHIFT
LOGICAL = 1 << 11
DELIVERY_STATUS = 1 << 12
POLARITY = 1 << 13
REMOTE_IRR = 1 << 14
LEVEL = 1 << 15
MASKED = 1 << 16
DESTINATION_SHIFT = 56
DESTINATION = 0xFF << DESTINATION_SHIFT

WRITABLE = VECTOR | DELIVERY_MODE | LOGICAL | POLARITY | LEVEL | MASKED | DESTINATION
"""Delivery status and remote IRR are read-only, the other bits reserved."""

FIXED = 0
LOWEST_PRIORITY = 1
SMI = 2
NMI = 4
INIT = 5
EXTINT = 7

_WITH_VECTOR = (FIXED, LOWEST_PRIORITY)
_WITHOUT_VECTOR = (SMI, NMI, INIT, EXTINT)
_LOWEST_VECTOR = 0x10

_MESSAGE_BASE = 0xFEE0_0000
_ADDRESS_DESTINATION_SHIFT = 12
_ADDRESS_REDIRECTION_HINT = 1 << 3
_ADDRESS_LOGICAL = 1 << 2
_DATA_ASSERT = 1 << 14
_DATA_AS_IN_ENTRY = VECTOR | DELIVERY_MODE | LOGICAL


class Message(NamedTuple):
    """A message-signalled interrupt: `data` (32 bits), written to `address`."""

    address: int
    data: int


def delivery_mode(entry: int) -> int:
    """The delivery mode, 0 to 7."""
    return (entry & DELIVERY_MODE) >> DELIVERY_MODE_SHIFT


def is_level(entry: int) -> bool:
    """Whether the entry works by level.

    SMI, NMI, INIT and ExtINT are edges whatever the trigger mode says: the local APICs send no
    EOI for them.
    """
    return bool(entry & LEVEL) and delivery_mode(entry) in _WITH_VECTOR


def message(entry: int) -> Message | None:
    """What the entry sends.

    Returns:
        None for what no local APIC accepts: a reserved delivery mode, or a vector below 0x10
        (SDM vol. 3A, 11.5.2).
    """
    mode = delivery_mode(entry)
    if mode not in _WITHOUT_VECTOR and (
        mode not in _WITH_VECTOR or entry & VECTOR < _LOWEST_VECTOR
    ):
        return None
    address = _MESSAGE_BASE | entry >> DESTINATION_SHIFT << _ADDRESS_DESTINATION_SHIFT
    if entry & LOGICAL:
        address |= _ADDRESS_LOGICAL
    if mode == LOWEST_PRIORITY:
        address |= _ADDRESS_REDIRECTION_HINT
    data = _DATA_ASSERT | entry & _DATA_AS_IN_ENTRY
    return Message(address, data | LEVEL if is_level(entry) else data)
