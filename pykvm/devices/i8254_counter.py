"""One counter of an Intel 8254, which counts many pulses of its clock at once.

All times are in pulses of CLK.  A count in here is 1 to 65536 (10000 in BCD), where the register
holds 0 for the highest; the counting element is 0 to the same.

What the datasheet does not say: a count that was written half is not loaded by a trigger; a count
of 1 in modes 2 and 3, which is illegal, leaves the output high; BCD digits above 9 count as what
they are worth.
"""

from __future__ import annotations

import copy

# The control word, as the status byte has it (figures 7 and 11).
BCD = 1 << 0
MODE_SHIFT = 1
RW_SHIFT = 4
RW_LSB = 1
RW_MSB = 2
CONTROL_BITS = 0x3F
NULL_COUNT = 1 << 6
OUTPUT = 1 << 7


class Counter:
    """Counting element, count register, gate and output.

    Attributes:
        gate, out: their levels.

    Source: Intel 8254 datasheet (231164), "Mode definitions" and "Operation common to all modes".
    """

    def __init__(self, *, gate: bool = True) -> None:
        self.gate = gate
        self.out = True
        self._control = RW_LSB << RW_SHIFT
        self._element = 0
        self._count = 0  # the count register; 0 before any is written
        self._loaded = 0  # what the element was loaded with
        self._first_byte: int | None = None
        self._null_count = True
        self._held_status: int | None = None
        self._held_count = b""
        self._reads_msb = False
        self._forget_count()

    def _forget_count(self) -> None:
        self._loads = False  # at the next pulse
        self._runs = False
        self._armed = False  # the output is yet to change, in the modes that do so once
        self._strobes = False

    @property
    def _mode(self) -> int:
        mode = self._control >> MODE_SHIFT & 7
        return mode & 3 if mode > 5 else mode

    @property
    def _rw(self) -> int:
        return self._control >> RW_SHIFT & 3

    @property
    def _modulus(self) -> int:
        return 10_000 if self._control & BCD else 1 << 16

    # What the guest does.

    def program(self, control: int) -> None:
        """Take a control word: mode, which bytes are read and written, binary or BCD."""
        self._control = control & CONTROL_BITS
        self._count = 0
        self._first_byte = None
        self._null_count = True
        self._held_status = None
        self._held_count = b""
        self._reads_msb = False
        self._forget_count()
        self.out = self._mode != 0

    def write(self, value: int) -> None:
        """Take a byte of a count."""
        if self._rw == RW_LSB:
            self._set_count(value)
        elif self._rw == RW_MSB:
            self._set_count(value << 8)
        elif self._first_byte is None:
            self._first_byte = value
            if self._mode == 0:
                self._forget_count()
                self.out = False
        else:
            self._set_count(value << 8 | self._first_byte)
            self._first_byte = None

    def _set_count(self, register: int) -> None:
        self._null_count = True
        self._count = self._decode(register) or self._modulus
        if self._mode == 0:
            self._forget_count()
            self.out = False
        if self._mode in (0, 4) or (self._mode in (2, 3) and not self._runs):
            self._loads = True

    def read(self) -> int:
        """A byte of what is latched, the status first; else one of the counting element."""
        if self._held_status is not None:
            status, self._held_status = self._held_status, None
            return status
        if self._held_count:
            byte, self._held_count = self._held_count[0], self._held_count[1:]
            return byte
        bytes_read = self._readable()
        if len(bytes_read) == 1:
            return bytes_read[0]
        self._reads_msb = not self._reads_msb
        return bytes_read[not self._reads_msb]

    def latch_count(self) -> None:
        """Hold the count for the reads to come; one that is held already stays."""
        if not self._held_count:
            self._held_count = self._readable()

    def latch_status(self) -> None:
        """Hold the status for the next read; one that is held already stays (figure 11)."""
        if self._held_status is None:
            null_count = NULL_COUNT if self._null_count else 0
            self._held_status = self._control | null_count | (OUTPUT if self.out else 0)

    def _readable(self) -> bytes:
        register = self._encode(self._element % self._modulus).to_bytes(2, "little")
        return {RW_LSB: register[:1], RW_MSB: register[1:]}.get(self._rw, register)

    def _encode(self, value: int) -> int:
        return int(str(value), 16) if self._control & BCD else value

    def _decode(self, register: int) -> int:
        if not self._control & BCD:
            return register
        digits = (register >> 4 * i & 0xF for i in range(4))
        value = sum(digit * unit for digit, unit in zip(digits, (1, 10, 100, 1000), strict=True))
        return value % self._modulus

    # What the board does.

    def set_gate(self, level: bool) -> None:
        """Drive the gate (figure 21)."""
        rises, falls = level and not self.gate, self.gate and not level
        self.gate = level
        if rises and self._mode in (1, 2, 3, 5) and self._count:
            self._loads = True
        if falls and self._mode in (2, 3):
            self.out = True

    def advance(self, pulses: int) -> int:
        """Count pulses of CLK, any number at the same cost.

        Returns:
            how often the output rose.
        """
        rises = 0
        if self._loads and pulses:
            rises = self._load()
            pulses -= 1
        if not self._runs or not pulses:
            return rises
        if self._mode == 2:
            return rises + self._advance_rate(pulses)
        if self._mode == 3:
            return rises + self._advance_square_wave(pulses)
        return rises + self._advance_once(pulses)

    def next_rise(self) -> int | None:
        """In how many pulses the output rises next; None if not by itself."""
        if self._loads:
            after = copy.copy(self)
            if after.advance(1):
                return 1
            more = after.next_rise()
            return None if more is None else 1 + more
        if not self._runs or not (self.gate or self._mode in (1, 5) or self._strobes):
            return None
        if self._mode == 2:
            if self._element > 1 or not self.out:
                return self._element
            return 1 + self._count if self._count > 1 else None
        if self._mode == 3:
            left = self._half_left()
            if not self.out:
                return left
            if self._count == 1:
                return None
            return left + (self._count // 2 if self._loaded > 1 else self._count)
        if self._strobes:
            return 1
        return self._element + (self._mode in (4, 5)) if self._armed else None

    # What a pulse does, or many.

    def _load(self) -> int:
        was_high = self.out
        self._loads = self._strobes = False
        self._runs = self._armed = True
        self._reload()
        self.out = self._mode > 1
        return self.out and not was_high

    def _reload(self) -> None:
        self._null_count = False
        self._loaded = self._element = self._count
        if self._mode == 3:
            self._element &= ~1

    def _advance_once(self, pulses: int) -> int:
        """Modes 0, 1, 4 and 5: at zero the output changes once, and counting goes on."""
        rises = int(self._strobes)
        if self._strobes:
            self._strobes, self.out = False, True
        if not self.gate and self._mode in (0, 4):
            return rises
        if self._armed and pulses >= self._element:
            self._armed = False
            self._strobes = self._mode > 1 and pulses == self._element
            rises += not self._strobes
            self.out = not self._strobes
        self._element = (self._element - pulses) % self._modulus
        return rises

    def _advance_rate(self, pulses: int) -> int:
        """Mode 2: low for one pulse in each period, while the element is 1."""
        if not self.gate:
            return 0
        if pulses < self._element:
            self._element -= pulses
            self.out = self._element > 1
            return 0
        pulses -= self._element
        rises = int(self._element > 1 or not self.out)
        self._reload()
        periods, pulses = divmod(pulses, self._count)
        if self._count > 1:
            rises += periods
        self._element -= pulses
        self.out = not pulses or self._element > 1
        return rises

    def _half_left(self) -> int:
        """Pulses to the end of the square wave's half; an odd count's high half is the longer."""
        return self._element // 2 + (self._loaded & 1 if self.out else 0)

    def _advance_square_wave(self, pulses: int) -> int:
        """Mode 3: high for one half of the count, low for the other."""
        if not self.gate:
            return 0
        left = self._half_left()
        if pulses < left:
            self._element -= 2 * pulses
            return 0
        pulses -= left
        was_high = self.out
        self.out = not was_high or 1 in (self._loaded, self._count)
        self._reload()
        rises = int(self.out and not was_high)
        if self._count == 1:
            return rises
        periods, pulses = divmod(pulses, self._count)
        rises += periods
        if pulses >= self._half_left():
            pulses -= self._half_left()
            self.out = not self.out
            rises += self.out
        self._element -= 2 * pulses
        return rises
