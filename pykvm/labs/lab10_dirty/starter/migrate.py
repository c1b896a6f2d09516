"""Lab 10: dirty pages, snapshots, and a guest that moves while it runs.

Write the functions.  `python migrate.py` moves a guest from one process to another.
"""

import os
import socket

from guest import PAGE_SIZE, PAGES, RAM_SIZE, SLOT, Guest, Wire

FEW = 16  # so many pages may be sent while the guest stands still
MOST_ROUNDS = 8  # after so many rounds it is stopped however many are left


def dirty_pages(bitmap: bytes) -> list[int]:
    """The numbers of the pages whose bits are set in a dirty log, in ascending order."""
    raise NotImplementedError


class Snapshots:
    """Snapshots of a guest's RAM: the first one whole, the others what changed since."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def take(self) -> int:
        """Take one; returns how many pages it holds."""
        raise NotImplementedError

    def ram(self, number: int) -> bytes:
        """All RAM as it was when snapshot `number` was taken, from 0 on."""
        raise NotImplementedError


def send(guest: Guest, wire: Wire) -> None:
    """Send a guest that runs on meanwhile; at the end it is over there, and stands still here."""
    raise NotImplementedError


def receive(guest: Guest, wire: Wire) -> None:
    """Make `guest`, a fresh one, the one that `send` sends."""
    raise NotImplementedError


if __name__ == "__main__":
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        with Guest() as guest:
            receive(guest, Wire(there))
            guest.run_slice()
            print(f"process {os.getpid()} goes on with", [f"{said:#x}" for said in guest.said[:3]])
        os._exit(0)
    there.close()
    with Guest() as guest:
        guest.run_slice()
        send(guest, Wire(here))
        last = [f"{said:#x}" for said in guest.said[-3:]]
        print(f"process {os.getpid()} stopped behind", last, flush=True)
    os.wait()
