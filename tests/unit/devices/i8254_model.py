"""A second, independent counter to compare the real one with: one pulse at a time, as in figures
15 to 20 of the datasheet."""

from __future__ import annotations


class CounterModel:
    """Pulses arrive singly; `rises` counts the output's rising edges."""

    def __init__(self, *, gate: bool) -> None:
        self.gate = gate
        self.out = True
        self.rises = 0
        self.mode, self.rw, self.bcd, self.word = 0, 1, False, 0x10
        self.written: list[int] = []
        self.register: int | None = None
        self.null_count = True
        self.element = self.loaded = 0
        self.due = self.counting = self.expires = self.odd_tail = False
        self.read_high = False
        self.held: list[int] = []
        self.held_status: int | None = None

    @property
    def top(self) -> int:
        return 10000 if self.bcd else 65536

    def set_out(self, level: bool) -> None:
        self.rises += level and not self.out
        self.out = level

    def program(self, word: int) -> None:
        self.word = word % 64
        self.bcd = word % 2 == 1
        self.mode = (0, 1, 2, 3, 4, 5, 2, 3)[word // 2 % 8]
        self.rw = word // 16 % 4
        self.written, self.register, self.null_count = [], None, True
        self.due = self.counting = self.expires = False
        self.read_high, self.held, self.held_status = False, [], None
        self.set_out(self.mode != 0)

    def write(self, byte: int) -> None:
        self.written.append(byte)
        if self.mode == 0:
            self.due = self.counting = self.expires = False
            self.set_out(False)
        if self.rw == 3 and len(self.written) == 1:
            return
        low = 0 if self.rw == 2 else self.written[0]
        high = 0 if self.rw == 1 else self.written[-1]
        self.written = []
        digits = [low % 16, low // 16, high % 16, high // 16]
        base = 10 if self.bcd else 16
        self.register = sum(d * base**i for i, d in enumerate(digits)) % self.top or self.top
        self.null_count = True
        if self.mode in (0, 4):
            self.due = True
        if self.mode in (2, 3) and not self.counting:
            self.due = True

    def set_gate(self, level: bool) -> None:
        if level and not self.gate and self.mode in (1, 2, 3, 5) and self.register:
            self.due = True
        if not level and self.mode in (2, 3):
            self.set_out(True)
        self.gate = level

    def fill(self) -> None:
        assert self.register is not None
        self.null_count = False
        self.element = self.loaded = self.register
        if self.mode == 3:
            self.odd_tail = self.register % 2 == 1
            self.element -= self.register % 2

    def pulse(self) -> None:
        if self.due:
            self.due = False
            self.counting = self.expires = True
            self.fill()
            self.set_out(self.mode in (2, 3, 4, 5))
            return
        if self.mode in (4, 5):
            self.set_out(True)
        if not self.counting or (not self.gate and self.mode in (0, 2, 3, 4)):
            return
        if self.mode == 2:
            if self.element == 1:
                self.fill()
                self.set_out(True)
            else:
                self.element -= 1
                self.set_out(self.element != 1)
        elif self.mode == 3:
            self.pulse_square_wave()
        else:
            self.element = self.element - 1 if self.element else self.top - 1
            if self.element == 0 and self.expires:
                self.expires = False
                self.set_out(self.mode in (0, 1))

    def pulse_square_wave(self) -> None:
        """An odd count's high half has a pulse more, with the element at 0."""
        last = 0 if self.odd_tail and self.out else 2
        if self.element != last:
            self.element -= 2
            return
        stays_high = 1 in (self.loaded, self.register)  # half of a count of 1 is no time at all
        self.fill()
        self.set_out(not self.out or stays_high)

    def readable(self) -> list[int]:
        value = self.element % self.top
        base = 10 if self.bcd else 16
        digits = [value // base**i % base for i in range(4)]
        low, high = digits[0] + 16 * digits[1], digits[2] + 16 * digits[3]
        return {1: [low], 2: [high]}.get(self.rw, [low, high])

    def read(self) -> int:
        if self.held_status is not None:
            status, self.held_status = self.held_status, None
            return status
        if self.held:
            return self.held.pop(0)
        now = self.readable()
        if len(now) == 1:
            return now[0]
        self.read_high = not self.read_high
        return now[0] if self.read_high else now[1]

    def latch_count(self) -> None:
        self.held = self.held or self.readable()

    def latch_status(self) -> None:
        if self.held_status is None:
            self.held_status = self.word + 64 * self.null_count + 128 * self.out
