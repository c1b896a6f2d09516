"""A PS/2 keyboard: what it answers to the keyboard controller, and the keys it sends."""

from __future__ import annotations

from collections import deque

QUEUE_SIZE = 256

ACK = 0xFA
RESEND = 0xFE
TEST_PASSED = 0xAA
ECHO = 0xEE
IDENTITY = b"\xab\x83"
"""An enhanced keyboard with 101 or more keys."""

SET_LEDS = 0xED
SCAN_CODE_SET = 0xF0
IDENTIFY = 0xF2
SET_TYPEMATIC = 0xF3
ENABLE = 0xF4
DISABLE = 0xF5
SET_DEFAULTS = 0xF6
RESET = 0xFF

_KEY_TYPES = range(0xF7, 0xFE)
_WITH_KEY_LIST = range(0xFB, 0xFE)


class Ps2Keyboard:
    """The keyboard at the far end of the controller's cable.

    It has two queues: answers to the last command go before scan codes, and a new command
    drops the answers that nobody has fetched.

    Attributes:
        leds: scroll lock, num lock and caps lock as bits 0, 1 and 2.
        scan_code_set: 1, 2 or 3, as the guest chose; `press` takes codes of that set.
    """

    def __init__(self) -> None:
        self._answers: deque[int] = deque()
        self._scancodes: deque[int] = deque()
        self._command = 0
        self._last = 0
        self._set_defaults()

    def _set_defaults(self) -> None:
        self.leds = 0
        self.scan_code_set = 2
        self._scanning = True

    def press(self, scancodes: bytes) -> int:
        """Queue what keys send; return how many bytes were taken (0 while not scanning)."""
        if not self._scanning:
            return 0
        taken = scancodes[: QUEUE_SIZE - len(self._scancodes)]
        self._scancodes.extend(taken)
        return len(taken)

    def fetch(self) -> int | None:
        """The next byte on the cable, or None."""
        for queue in (self._answers, self._scancodes):
            if queue:
                self._last = queue.popleft()
                return self._last
        return None

    def send(self, value: int) -> None:
        """Take a command, or the option byte of the one before."""
        command, self._command = self._command, 0
        self._answers.clear()
        if command and value < SET_LEDS:
            self._take_option(command, value)
        else:
            self._take_command(value)

    def _take_command(self, value: int) -> None:
        if value in (SET_LEDS, SCAN_CODE_SET, SET_TYPEMATIC) or value in _WITH_KEY_LIST:
            self._command = value
            self._answers.append(ACK)
        elif value == ECHO:
            self._answers.append(ECHO)
        elif value == IDENTIFY:
            self._answers.extend((ACK, *IDENTITY))
        elif value in (ENABLE, DISABLE, SET_DEFAULTS, RESET):
            self._scancodes.clear()
            if value != ENABLE:
                self._set_defaults()
            self._scanning = value != DISABLE
            self._answers.append(ACK)
            if value == RESET:
                self._answers.append(TEST_PASSED)
        elif value in _KEY_TYPES:
            self._answers.append(ACK)
        elif value == RESEND:
            self._answers.append(self._last)
        else:
            self._answers.append(RESEND)

    def _take_option(self, command: int, value: int) -> None:
        if command == SCAN_CODE_SET and value > 3:
            self._command = command  # it waits for a valid one
            self._answers.append(RESEND)
            return
        self._answers.append(ACK)
        if command == SET_LEDS:
            self.leds = value & 0x07
        elif command == SCAN_CODE_SET:
            if value == 0:
                self._answers.append(self.scan_code_set)
            else:
                self.scan_code_set = value
        elif command in _WITH_KEY_LIST:
            self._command = command  # the list goes on until the next command
