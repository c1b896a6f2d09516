"""A second, independent pair of interrupt controllers to compare the real one with.

Levels are kept in lists by priority, and everything is worked out anew at each question.
"""

from __future__ import annotations

FREE = [0, 1, 2, 3, 4, 5, 6, 7]


class ChipModel:
    """One 8259A."""

    def __init__(self) -> None:
        self.lines = dict.fromkeys(FREE, False)
        self.seen_edge = dict.fromkeys(FREE, False)
        self.sensitive = dict.fromkeys(FREE, False)  # to the level
        self.icws: list[int] = []
        # initialization words still to come; -1: none was begun, though there is a mask
        self.expected = -1
        self.base, self.alone, self.icw3 = 0, True, 0
        self.clear()

    def clear(self) -> None:
        self.seen_edge = dict.fromkeys(FREE, False)
        self.serving: set[int] = set()
        self.masked: set[int] = set()
        self.order = list(FREE)
        self.smm = self.show_isr = self.polled = False
        self.aeoi = self.sfnm = self.rotating = False

    def drive(self, level: int, high: bool) -> None:
        if high and not self.lines[level]:
            self.seen_edge[level] = True
        if not high:
            self.seen_edge[level] = False
        self.lines[level] = high

    def asks(self, level: int) -> bool:
        return self.lines[level] if self.sensitive[level] else self.seen_edge[level]

    def holds_back(self, holder: int, other: int) -> bool:
        """Whether `holder`, in service, keeps `other` from interrupting."""
        if self.smm and holder in self.masked:
            return False
        if holder == other:
            return not (self.sfnm and not self.alone and self.icw3 >> holder & 1)
        return self.order.index(holder) < self.order.index(other)

    def winner(self) -> int | None:
        if self.expected:
            return None
        for level in self.order:
            if level in self.masked or not self.asks(level):
                continue
            if not any(self.holds_back(holder, level) for holder in self.serving):
                return level
        return None

    def make_lowest(self, level: int) -> None:
        at = self.order.index(level) + 1
        self.order = self.order[at:] + self.order[:at]

    def serve(self) -> int | None:
        level = self.winner()
        if level is None:
            return None
        self.seen_edge[level] = False
        if not self.aeoi:
            self.serving.add(level)
        elif self.rotating:
            self.make_lowest(level)
        return level

    def write(self, a0: int, value: int) -> None:
        if a0:
            if self.expected > 0:
                self.icws.append(value)
                self.expected -= 1
                if not self.expected:
                    self.finish()
            else:
                self.masked = {level for level in FREE if value >> level & 1}
        elif value & 0x10:
            self.clear()
            self.icws = [value]
            self.expected = 1 + (value & 2 == 0) + (value & 1)
        elif value & 0x08:
            if value & 0x60 in (0x40, 0x60):
                self.smm = value & 0x20 != 0
            if value & 4:
                self.polled = True
            elif value & 3 in (2, 3):
                self.show_isr = value & 1 == 1
        else:
            self.operate(value // 32, value % 8)

    def finish(self) -> None:
        first, second, *rest = self.icws
        self.base = second // 8 * 8
        self.alone = first & 2 != 0
        if not self.alone:
            self.icw3 = rest.pop(0)
        if first & 1:
            self.aeoi = rest[0] & 2 != 0
            self.sfnm = rest[0] & 16 != 0

    def operate(self, command: int, level: int) -> None:
        if command in (0, 4):
            self.rotating = command == 4
        elif command == 6:
            self.make_lowest(level)
        elif command in (3, 7):
            self.serving.discard(level)
            if command == 7:
                self.make_lowest(level)
        elif command in (1, 5):
            for holder in self.order:
                if holder in self.serving and not (self.smm and holder in self.masked):
                    self.serving.remove(holder)
                    if command == 5:
                        self.make_lowest(holder)
                    return

    def register(self, a0: int) -> int:
        if a0:
            return sum(1 << level for level in self.masked)
        if self.show_isr:
            return sum(1 << level for level in self.serving)
        return sum(1 << level for level in FREE if self.asks(level))


class PairModel:
    """Both, with the slave's output as the master's input 2."""

    def __init__(self) -> None:
        self.chips = [ChipModel(), ChipModel()]
        self.served: list[int] = []

    @property
    def intr(self) -> bool:
        return self.chips[0].winner() is not None

    def settle(self) -> None:
        self.chips[0].drive(2, self.chips[1].winner() is not None)

    def drive(self, irq: int, high: bool) -> None:
        self.chips[irq // 8].drive(irq % 8, high)
        self.settle()

    def serve(self, chip: int) -> int | None:
        level = self.chips[chip].serve()
        if chip == 1:
            self.chips[0].drive(2, False)
        self.settle()
        if level is not None and (chip, level) != (0, 2):
            self.served.append(8 * chip + level)
        return level

    def read(self, chip: int, a0: int) -> int:
        if self.chips[chip].polled:
            self.chips[chip].polled = False
            level = self.serve(chip)
            return 7 if level is None else 0x80 + level
        return self.chips[chip].register(a0)

    def write(self, chip: int, a0: int, value: int) -> None:
        self.chips[chip].write(a0, value)
        self.settle()

    def set_sensitive(self, chip: int, value: int) -> None:
        fixed = (0, 1, 2) if chip == 0 else (0, 5)
        for level in FREE:
            self.chips[chip].sensitive[level] = value >> level & 1 == 1 and level not in fixed
        self.settle()

    def acknowledge(self) -> int:
        master, slave = self.chips
        level = self.serve(0)
        if level is None:
            return master.base + 7
        if master.alone or not master.icw3 >> level & 1:
            return master.base + level
        if level != 2 or slave.alone or slave.icw3 % 8 != 2:
            return 255
        level = self.serve(1)
        return slave.base + (7 if level is None else level)
