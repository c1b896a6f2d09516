"""What INT 13h returns in AH (Ralf Brown's Interrupt List, table 00234)."""

from __future__ import annotations

OK = 0x00
INVALID = 0x01
"""An unknown function, a bad parameter, or a drive that is not there."""
WRITE_PROTECTED = 0x03
NOT_FOUND = 0x04
"""The sector is not on the disk, or cannot be read."""
BOUNDARY = 0x09
"""The buffer crosses its segment's end, or is not all memory."""
WRITE_FAULT = 0xCC
