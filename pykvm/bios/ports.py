"""What the services need of the port bus, to use devices as a BIOS does."""

from __future__ import annotations

from typing import Protocol


class Ports(Protocol):
    """`pykvm.bus.Bus` is one.

    The services use the fixed ports of the layout only, never one that the guest names: it could
    name the one it just called them by.
    """

    def read(self, address: int, size: int) -> int:
        """`in`."""

    def write(self, address: int, size: int, value: int) -> None:
        """`out`."""
