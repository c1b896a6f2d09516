"""Lab 2: a debug console, and the loop that asks it.

Write `Console.handle` and `run`.  After `pykvm lab asm`, `python console.py guest.bin hello` runs
your guest with the keys h, e, l, l, o.
"""

import sys
from pathlib import Path

from machine import Guest

from pykvm.kvm.exits import Hlt, Intr, Io

SCREEN = 0xE9  # OUT: a character for the screen.  IN: 0xE9, always
KEY = 0xEA  # IN: the next key, 0 if there is none.  OUT: dropped
STATUS = 0xEB  # IN: 1 if there is a key, else 0.  OUT: dropped


class Console:
    """A device with three ports of 8 bits.

    Attributes:
        keys: those not yet read by the guest.
        text: what the guest has written.
    """

    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.text = b""

    def handle(self, exit: Io) -> bytes | None:
        """Take an OUT, then return None; or answer an IN with `exit.size * exit.count` bytes."""
        raise NotImplementedError


def run(code: bytes, keys: bytes) -> bytes:
    """Run `code` to its HLT with a console; return what it wrote.

    Raises RuntimeError, naming the exit, if the guest ends in another way.
    """
    console = Console(keys)
    with Guest(code) as guest:
        raise NotImplementedError


if __name__ == "__main__":
    print(run(Path(sys.argv[1]).read_bytes(), sys.argv[2].encode()))
