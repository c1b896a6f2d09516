"""A second, independent fw_cfg to compare the real one with: slow, and as the specification tells.

An item is a list of bytes, memory a dictionary from address to byte; an address that is no key is
no RAM.
"""

from __future__ import annotations

Memory = dict[int, int]


class FwCfgModel:
    """Items by key; `writable` names the keys that a guest may write."""

    def __init__(self, items: dict[int, bytes], writable: set[int]) -> None:
        self.items = {key: list(data) for key, data in items.items()}
        self.writable = writable
        self.key = 0
        self.position = 0

    def select(self, key: int) -> None:
        self.key = key & 0xBFFF
        self.position = 0

    def read(self) -> int:
        item = self.items.get(self.key, [])
        if self.position < len(item):
            self.position += 1
            return item[self.position - 1]
        return 0

    def operate(self, memory: Memory, descriptor: int) -> None:
        """Do what the descriptor says, and store its control field."""
        fields = [memory.get(descriptor + i) for i in range(16)]
        result = 1
        if None not in fields:
            raw = bytes(field for field in fields if field is not None)
            control, length = int.from_bytes(raw[0:4], "big"), int.from_bytes(raw[4:8], "big")
            result = (
                0 if self.execute(memory, control, length, int.from_bytes(raw[8:], "big")) else 1
            )
        if all(descriptor + i in memory for i in range(4)):
            for i, value in enumerate((0, 0, 0, result)):
                memory[descriptor + i] = value

    def execute(self, memory: Memory, control: int, length: int, buffer: int) -> bool:
        if control & 8:
            self.select(control // 0x10000)
        if length == 0:
            return True
        item = self.items.get(self.key, [])
        # no run of RAM here is longer than this
        addresses = range(buffer, buffer + min(length, 0x10000))
        if control & 2:
            if any(address not in memory for address in addresses):
                return False
            for address in addresses:
                memory[address] = self.read()
            return True
        if control & 16:
            if self.key not in self.writable or self.position + length > len(item):
                return False
            if any(address not in memory for address in addresses):
                return False
            for address in addresses:
                item[self.position] = memory[address]
                self.position += 1
            return True
        if control & 4:
            self.position = min(self.position + length, len(item))
        return True
