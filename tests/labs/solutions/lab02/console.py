"""Lab 2, solved."""

import sys
from pathlib import Path

from machine import Guest

from pykvm.kvm.exits import Hlt, Intr, Io

SCREEN = 0xE9
KEY = 0xEA
STATUS = 0xEB


class Console:
    def __init__(self, keys: bytes) -> None:
        self.keys = keys
        self.text = b""

    def handle(self, exit: Io) -> bytes | None:
        ports = range(exit.port, exit.port + exit.size)
        if exit.is_write:
            for i, value in enumerate(exit.data):
                self._write(ports[i % exit.size], value)
            return None
        return bytes(self._read(port) for _ in range(exit.count) for port in ports)

    def _write(self, port: int, value: int) -> None:
        if port == SCREEN:
            self.text += bytes([value])

    def _read(self, port: int) -> int:
        if port == SCREEN:
            return 0xE9
        if port == STATUS:
            return int(bool(self.keys))
        if port != KEY:
            return 0xFF
        key, self.keys = self.keys[:1], self.keys[1:]
        return key[0] if key else 0


def run(code: bytes, keys: bytes) -> bytes:
    console = Console(keys)
    with Guest(code) as guest:
        while True:
            match guest.enter():
                case Hlt():
                    return console.text
                case Io() as exit:
                    answer = console.handle(exit)
                    if answer is not None:
                        guest.reply(answer)
                case Intr():
                    pass
                case other:
                    raise RuntimeError(f"the guest ended with {other}")


if __name__ == "__main__":
    print(run(Path(sys.argv[1]).read_bytes(), sys.argv[2].encode()))
