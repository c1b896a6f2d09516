"""The header that all of ACPI's system description tables begin with."""

from __future__ import annotations

import struct

from pykvm.boot.checksum import with_checksum

HEADER = struct.Struct("<4sIBB6s8sI4sI")
"""Signature, length, revision, checksum, OEM ID, OEM table ID, OEM revision, creator ID, creator
revision."""

CHECKSUM_OFFSET = 9

OEM_ID = b"PYKVM "
_OEM_TABLE_ID = b"PYKVMPC "
_CREATOR_ID = b"PYKV"
_OUR_REVISION = 1


def system_table(signature: bytes, revision: int, body: bytes) -> bytes:
    """A whole table: its header, with the checksum right, and `body`.

    Args:
        signature: four characters.
        revision: of the table's structure, as its section of the specification says.
        body: what follows the header.

    Source: ACPI 6.0, 5.2.6.
    """
    header = HEADER.pack(
        signature,
        HEADER.size + len(body),
        revision,
        0,
        OEM_ID,
        _OEM_TABLE_ID,
        _OUR_REVISION,
        _CREATOR_ID,
        _OUR_REVISION,
    )
    return with_checksum(header + body, CHECKSUM_OFFSET)
