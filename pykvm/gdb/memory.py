"""Reading and writing guest memory at the addresses that the guest itself uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.errors import PykvmError
from pykvm.gdb.packets import EFAULT, PACKET_SIZE, PacketError
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from pykvm.debug.debugger import Debugger

LONGEST_READ = PACKET_SIZE // 2
_END = 1 << 64


def read(debugger: Debugger, processor: int, address: int, length: int) -> bytes:
    """As much of a range as there is from its start on; a reply may be shorter than asked for.

    Args:
        debugger: whose guest it is.
        processor: by whose page tables.
        address: linear.
        length: in bytes; more than LONGEST_READ are not read at once.

    Raises:
        PacketError: there is nothing at `address`.
    """
    end = min(address + min(length, LONGEST_READ), _END)
    data = b""
    at = address
    while at < end:
        piece = min(end - at, PAGE_SIZE - at % PAGE_SIZE)
        try:
            data += debugger.read(processor, at, piece)
        except PykvmError as error:
            if not data:
                raise PacketError(EFAULT, str(error)) from None
            break
        at += piece
    return data


def write(debugger: Debugger, processor: int, address: int, data: bytes) -> None:
    """Write to a range.

    Raises:
        PacketError: some of it is not there.
    """
    if address + len(data) > _END:
        raise PacketError(EFAULT, "behind the end of all addresses")
    if not data:
        return
    try:
        debugger.write(processor, address, data)
    except PykvmError as error:
        raise PacketError(EFAULT, str(error)) from None
