"""From an image to a machine about to run it: read, laid out, put into RAM."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pykvm.boot import boot_image, read_image
from pykvm.boot.firmware import firmware_for
from pykvm.memory import Gpa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.boot.request import Module
    from pykvm.boot.state import BootState
    from pykvm.memory import GuestMemory
    from pykvm.x86 import Mode


def plan_boot(
    image: str | os.PathLike[str] | bytes,
    ram: int,
    cpus: int,
    *,
    mode: Mode | None,
    load_address: int | None,
    entry: int | None,
    cmdline: str,
    modules: Sequence[Module],
) -> BootState:
    """What starting `image` means on a machine with `ram` bytes and `cpus` processors.

    The other arguments are those of `Machine.load`.

    Raises:
        ImageError: it cannot be read or booted.
    """
    if isinstance(image, bytes):
        name, content = "", image
    else:
        name, content = os.fspath(image), read_image(image, ram)
    firmware = firmware_for(content, cpus, ram)
    state = boot_image(
        content,
        ram,
        name=name,
        mode=mode,
        load_address=load_address,
        entry=entry,
        cmdline=cmdline,
        modules=modules,
        rsdp=firmware.rsdp,
        reserved=firmware.reserved,
    )
    return state._replace(pieces=(*state.pieces, *firmware.pieces))


def put_into_ram(state: BootState, memory: GuestMemory) -> None:
    """Write the pieces of a plan that fits."""
    for piece in state.pieces:
        memory.write(Gpa(piece.gpa), piece.data)
        memory.zero(Gpa(piece.gpa + len(piece.data)), piece.size - len(piece.data))
