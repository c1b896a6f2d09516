"""The keyboard controller of the PC AT and PS/2 (an Intel 8042), with a keyboard attached.

Its program is described by IBM's technical references for the AT and the PS/2; the auxiliary
(mouse) port is there, with nothing plugged in.  The controller is infinitely fast: its input
buffer is always empty.
"""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.devices.a20 import A20Gate
from pykvm.devices.ps2_keyboard import RESEND, Ps2Keyboard
from pykvm.irq import IrqLine

DATA = 0
COMMAND = 4

# Status register.
OUTPUT_FULL = 1 << 0
SYSTEM_FLAG = 1 << 2
LAST_WAS_COMMAND = 1 << 3
NOT_LOCKED = 1 << 4
AUX_OUTPUT_FULL = 1 << 5
TIME_OUT = 1 << 6

# Configuration byte; its bit 2 is the status register's system flag.
KEYBOARD_INTERRUPT = 1 << 0
AUX_INTERRUPT = 1 << 1
KEYBOARD_DISABLED = 1 << 4
AUX_DISABLED = 1 << 5
TRANSLATE = 1 << 6

# Output port.
NOT_RESET = 1 << 0
A20 = 1 << 1

AS_FIRMWARE_LEAVES_IT = TRANSLATE | AUX_DISABLED | SYSTEM_FLAG | KEYBOARD_INTERRUPT

BREAK_PREFIX = 0xF0

_SET_2_TO_1 = bytes.fromhex(
    "ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59"
    "65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b"
    "67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d"
    "69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f"
    "6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61"
    "6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76"
    "55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f"
    "52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54"
)
_SET_2_TO_1_ABOVE = {0x83: 0x41, 0x84: 0x54}


class _Port(Device):
    """One of the controller's two ports."""

    def __init__(self, controller: I8042, offset: int, name: str) -> None:
        self._controller = controller
        self._offset = offset
        self.name = name

    def read(self, offset: int, size: int) -> int:
        return self._controller.read(self._offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self._controller.write(self._offset, size, value)


class I8042(Device):
    """The controller: data at offset 0, status and command at offset 4.

    On a PC these are ports 0x60 and 0x64, with other devices between them; so a bus is given
    the two as `data` and `command`, each one byte wide.

    Args:
        keyboard_irq: follows "output buffer full" from the keyboard; IRQ 1 on a PC.
        aux_irq: the same for the auxiliary port; IRQ 12.
        on_reset: called when the guest pulls the processor's reset line.
        a20: the machine's A20 gate; None for one of its own.

    Attributes:
        data, command: the two ports as devices.
        keyboard: what is plugged in.
    """

    name = "keyboard controller"

    def __init__(
        self,
        keyboard_irq: IrqLine,
        aux_irq: IrqLine,
        *,
        on_reset: Callable[[], None],
        a20: A20Gate | None = None,
    ) -> None:
        self.keyboard = Ps2Keyboard()
        self.data: Device = _Port(self, DATA, f"{self.name} data")
        self.command: Device = _Port(self, COMMAND, f"{self.name} command")
        self._keyboard_irq = keyboard_irq
        self._aux_irq = aux_irq
        self._gate = A20Gate() if a20 is None else a20
        self._on_reset = on_reset
        self._memory = bytearray(32)
        self._memory[0] = AS_FIRMWARE_LEAVES_IT
        self._output = 0
        self._full = 0  # OUTPUT_FULL and its companions in the status register
        self._command = 0  # the one that waits for its data byte
        self._last_was_command = 0
        self._break_pending = 0

    @property
    def a20(self) -> bool:
        """Whether the A20 gate is open."""
        return self._gate.enabled

    def press(self, scancodes: bytes) -> int:
        """Press keys: scan codes as the keyboard sends them (set 2 unless the guest chose).

        Returns:
            How many bytes the keyboard's queue took.
        """
        taken = self.keyboard.press(scancodes)
        self._fetch()
        return taken

    def read(self, offset: int, size: int) -> int:
        """The output buffer, which empties it, or the status register."""
        if offset == DATA:
            return self._take_output()
        if offset == COMMAND:
            return self._status()
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A data byte for the command before it or else the keyboard, or a command."""
        if offset == DATA:
            self._last_was_command = 0
            self._take_data(value)
        elif offset == COMMAND:
            self._last_was_command = LAST_WAS_COMMAND
            self._take_command(value)

    def _status(self) -> int:
        return self._full | self._last_was_command | NOT_LOCKED | self._memory[0] & SYSTEM_FLAG

    def _output_port(self) -> int:
        keyboard = self._full & (OUTPUT_FULL | AUX_OUTPUT_FULL) == OUTPUT_FULL
        aux = bool(self._full & AUX_OUTPUT_FULL)
        # The cables' clock and data lines (bits 2, 3, 6 and 7) idle high.
        return 0xCC | NOT_RESET | self.a20 << 1 | keyboard << 4 | aux << 5

    def _take_command(self, value: int) -> None:
        self._command = 0
        if value in range(0x20, 0x40):
            self._put(self._memory[value & 0x1F])
        elif value in range(0x60, 0x80) or value in range(0xD1, 0xD5):
            self._command = value
        elif value in (0xA7, 0xA8):
            self._configure(AUX_DISABLED, on=value == 0xA7)
        elif value in (0xAD, 0xAE):
            self._configure(KEYBOARD_DISABLED, on=value == 0xAD)
        elif value == 0xAA:  # self-test
            self._configure(SYSTEM_FLAG, on=True)
            self._put(0x55)
        elif value in (0xA9, 0xAB):  # test of the cable to either device: no fault
            self._put(0x00)
        elif value == 0xC0:  # input port: keyboard not locked, manufacturing jumper not set
            self._put(0xA0)
        elif value == 0xD0:
            self._put(self._output_port())
        elif value in (0xDD, 0xDF):
            self._gate.set(value == 0xDF)
        elif value >= 0xF0 and not value & NOT_RESET:  # pulses the lines whose bits are 0
            self._on_reset()

    def _take_data(self, value: int) -> None:
        command, self._command = self._command, 0
        if command == 0:
            self._configure(KEYBOARD_DISABLED, on=False)  # as writing to it needs its clock
            self.keyboard.send(value)
            self._fetch()
        elif command == 0xD1:
            self._gate.set(bool(value & A20))
            if not value & NOT_RESET:
                self._on_reset()
        elif command == 0xD2:
            self._put(value)
        elif command == 0xD3:
            self._put(value, AUX_OUTPUT_FULL)
        elif command == 0xD4:  # nothing is plugged in there to answer
            self._put(RESEND, AUX_OUTPUT_FULL | TIME_OUT)
        else:
            self._memory[command & 0x1F] = value
            self._configure(0, on=False)

    def _configure(self, bits: int, *, on: bool) -> None:
        """Change bits of the configuration byte and do what follows from it."""
        self._memory[0] = self._memory[0] | bits if on else self._memory[0] & ~bits
        self._interrupt()
        self._fetch()

    def _put(self, value: int, companions: int = 0) -> None:
        """Fill the output buffer; what was unread in it is lost, as on the real one."""
        self._output = value
        self._full = OUTPUT_FULL | companions
        self._interrupt()

    def _take_output(self) -> int:
        value = self._output
        self._full = 0
        self._interrupt()
        self._fetch()
        return value

    def _fetch(self) -> None:
        """Let the keyboard fill the output buffer if it is empty and the keyboard enabled."""
        while not self._full and not self._memory[0] & KEYBOARD_DISABLED:
            value = self.keyboard.fetch()
            if value is None:
                return
            if self._memory[0] & TRANSLATE:
                if value == BREAK_PREFIX:
                    self._break_pending = 0x80
                    continue
                value = _translate(value) | self._break_pending
            self._break_pending = 0
            self._put(value)

    def _interrupt(self) -> None:
        """Set both lines from the output buffer and the configuration byte."""
        config = self._memory[0]
        aux = bool(self._full & AUX_OUTPUT_FULL)
        full = bool(self._full)
        self._keyboard_irq.set(full and not aux and bool(config & KEYBOARD_INTERRUPT))
        self._aux_irq.set(aux and bool(config & AUX_INTERRUPT))


def _translate(value: int) -> int:
    """A scan code of set 2 as the one of set 1 that PC software expects."""
    if value < len(_SET_2_TO_1):
        return _SET_2_TO_1[value]
    return _SET_2_TO_1_ABOVE.get(value, value)
