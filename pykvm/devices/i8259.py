"""One interrupt controller: an Intel 8259A, edge or level by input as chipsets have it.

What a chipset leaves out of the 8259A is left out here, too (ICH9 datasheet, ICW1 and ICW4): LTIM,
whose place the edge/level register takes; MCS-80 mode with its call addresses; buffered mode.

A request lasts as long as its line is asserted: who takes it back before the processor has
acknowledged it gets the default interrupt, that of input 7, or none (8259A datasheet, "Edge and
level triggered modes").
"""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.irq import IrqLine

LEVELS = 8
COMMAND = 0
DATA = 1

# Which command word a write to offset 0 is.
ICW1 = 1 << 4
IS_OCW3 = 1 << 3

ICW1_IC4 = 1 << 0
ICW1_SNGL = 1 << 1
ICW2_BASE = 0xF8
ICW3_ID = 0x07
ICW4_AEOI = 1 << 1
ICW4_SFNM = 1 << 4

OCW2_EOI = 1 << 5
OCW2_SL = 1 << 6
OCW2_R = 1 << 7
OCW2_LEVEL = 0x07

OCW3_RIS = 1 << 0
OCW3_RR = 1 << 1
OCW3_P = 1 << 2
OCW3_SMM = 1 << 5
OCW3_ESMM = 1 << 6

POLL_REQUEST = 1 << 7
SPURIOUS = 7
"""The level that is acknowledged when nobody asks for service."""


class I8259(Device):
    """The registers of one chip: A0 = 0 at offset 0, A0 = 1 at offset 1.

    Until its initialization words are complete, it interrupts nobody.  After power-on it has a
    mask, which programs may read and write before that: by it Linux finds out whether there is a
    chip at all.

    Args:
        output: its INT pin.
        on_service: called with the level (0 to 7) of each request that gets into service, by an
            acknowledgement or a poll, and True; and when it gets out of it again, and False.

    Source: Intel 8259A datasheet (231468).
    """

    name = "8259A"

    def __init__(
        self, output: IrqLine, *, on_service: Callable[[int, bool], None] | None = None
    ) -> None:
        self._output = output
        self._on_service = on_service
        self._inputs = self._level_triggered = self._in_service = 0
        self._power_on()

    def _power_on(self) -> None:
        self._start_initialization()
        self._words: list[int] = []
        self._needs_words = False
        self._is_initialized = False
        self._base = 0
        self._single = True
        self._cascade = 0

    def _start_initialization(self) -> None:
        """What ICW1 clears ("Initialization command words 1 and 2", a to f)."""
        self._edges = self._mask = 0
        self._leave_service(self._in_service)
        self._lowest = LEVELS - 1
        self._special_mask = self._reads_in_service = self._polls = False
        self._auto_eoi = self._rotates_in_auto_eoi = self._nests_specially = False

    # The host's side.

    @property
    def requests(self) -> int:
        """The interrupt request register."""
        return self._edges & ~self._level_triggered | self._inputs & self._level_triggered

    @property
    def level_triggered(self) -> int:
        """Which inputs are level-triggered, a bit each (ICH9 datasheet, ELCR1 and ELCR2)."""
        return self._level_triggered

    @level_triggered.setter
    def level_triggered(self, inputs: int) -> None:
        self._level_triggered = inputs
        self._drive()

    @property
    def cascade(self) -> int:
        """ICW3: a master's inputs that slaves are on, a bit each; or a slave's identity.

        0 for a chip that is the only one.
        """
        return 0 if self._single else self._cascade

    def set_input(self, level: int, asserted: bool) -> None:
        """Drive one of the eight interrupt inputs."""
        bit = 1 << level
        if asserted:
            self._edges |= bit & ~self._inputs
            self._inputs |= bit
        else:
            self._inputs &= ~bit
            self._edges &= ~bit
        self._drive()

    def acknowledge(self) -> tuple[int | None, int]:
        """The processor takes the interrupt: the level that it is for, and the vector.

        When nobody asks any more there is no level, and the vector is that of level 7.
        """
        level = self._take()
        return level, self._base | (SPURIOUS if level is None else level)

    def is_open(self, level: int) -> bool:
        """Whether an input is not masked; all are until the chip is initialized."""
        return self._is_initialized and not self._mask >> level & 1

    def would_request(self, level: int) -> bool:
        """Whether an input would interrupt now if it were asserted, it alone."""
        return self._first(1 << level) is not None

    def reset(self) -> None:
        """Be as after power-on; the inputs keep their levels."""
        self._level_triggered = 0
        self._power_on()
        self._drive()

    # The guest's side.

    def read(self, offset: int, size: int) -> int:
        """A poll's answer if one is due; else the register that OCW3 chose, or the mask."""
        if self._polls:
            self._polls = False
            level = self._take()
            return SPURIOUS if level is None else POLL_REQUEST | level
        if offset == DATA:
            return self._mask
        return self._in_service if self._reads_in_service else self.requests

    def write(self, offset: int, size: int, value: int) -> None:
        """An initialization or an operation command word."""
        if offset == DATA:
            if self._needs_words:
                self._continue_initialization(value)
            else:
                self._mask = value
        elif value & ICW1:
            self._start_initialization()
            self._needs_words, self._is_initialized = True, False
            self._words = [value]
        elif value & IS_OCW3:
            self._operate(value)
        else:
            self._end_of_interrupt(value)
        self._drive()

    # Command words.

    def _continue_initialization(self, value: int) -> None:
        """ICW2 to ICW4, after an ICW1 that says which of them come (figure 6)."""
        self._words.append(value)
        icw1 = self._words[0]
        single = bool(icw1 & ICW1_SNGL)
        if len(self._words) < 3 + (not single) - (not icw1 & ICW1_IC4):
            return
        self._needs_words, self._is_initialized = False, True
        self._base = self._words[1] & ICW2_BASE
        self._single = single
        if not single:
            self._cascade = self._words[2]
        if icw1 & ICW1_IC4:
            self._auto_eoi = bool(value & ICW4_AEOI)
            self._nests_specially = bool(value & ICW4_SFNM)

    def _operate(self, value: int) -> None:
        """OCW3.  A poll takes precedence over a choice of the register to read."""
        if value & OCW3_ESMM:
            self._special_mask = bool(value & OCW3_SMM)
        if value & OCW3_P:
            self._polls = True
        elif value & OCW3_RR:
            self._reads_in_service = bool(value & OCW3_RIS)

    def _end_of_interrupt(self, value: int) -> None:
        """OCW2: end an interrupt, rotate priorities, or both."""
        level: int | None = value & OCW2_LEVEL
        rotates = bool(value & OCW2_R)
        if not value & OCW2_EOI:
            if value & OCW2_SL:
                if rotates:
                    self._lowest = value & OCW2_LEVEL
            else:
                self._rotates_in_auto_eoi = rotates
            return
        if not value & OCW2_SL:
            # one that its mask bit hides in special mask mode stays ("Special mask mode")
            level = self._highest(self._unhidden_service())
        if level is None:
            return
        self._leave_service(1 << level)
        if rotates:
            self._lowest = level

    # Priorities.

    def _by_priority(self) -> list[int]:
        return [(self._lowest + 1 + i) % LEVELS for i in range(LEVELS)]

    def _highest(self, levels: int) -> int | None:
        return next((level for level in self._by_priority() if levels >> level & 1), None)

    def _unhidden_service(self) -> int:
        return self._in_service & ~self._mask if self._special_mask else self._in_service

    def _first(self, requests: int) -> int | None:
        """The input, of some that ask for service, that gets it now.

        A level in service holds back itself and what is below it.  In special fully nested mode a
        slave's does not hold back itself: what it asks for then is of a higher priority within.
        """
        if not self._is_initialized:
            return None
        requests &= ~self._mask
        in_service = self._unhidden_service()
        own_nesting = self.cascade if self._nests_specially else 0
        for level in self._by_priority():
            bit = 1 << level
            if in_service & bit and not own_nesting & bit:
                return None
            if requests & bit:
                return level
            if in_service & bit:
                return None
        return None

    def _take(self) -> int | None:
        """What an acknowledgement or a poll does; the level that it is for.

        The output falls, so that the next chip sees an edge if there is more.
        """
        level = self._first(self.requests)
        self._output.set(False)
        if level is not None:
            self._edges &= ~(1 << level)
            self._in_service |= 1 << level
            if self._on_service is not None:
                self._on_service(level, True)
            if self._auto_eoi:
                self._leave_service(1 << level)
                if self._rotates_in_auto_eoi:
                    self._lowest = level
        self._drive()
        return level

    def _leave_service(self, levels: int) -> None:
        levels &= self._in_service
        self._in_service &= ~levels
        if self._on_service is not None:
            for level in range(LEVELS):
                if levels >> level & 1:
                    self._on_service(level, False)

    def _drive(self) -> None:
        self._output.set(self._first(self.requests) is not None)
