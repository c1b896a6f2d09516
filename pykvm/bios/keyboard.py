"""INT 16h and INT 09h: the buffer of 15 keys, and how keys get into it.

Sources: IBM PC AT Technical Reference, "BIOS listing" (KEYBOARD_IO); Ralf Brown's Interrupt List,
INT 16h.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.keymap import keys_from
from pykvm.bios.scancodes import BREAK, ScanCodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call

TYPED_AHEAD = 4096
"""How many keys the host can type ahead of the guest, whose own buffer has room for 15."""

CTRL_BREAK_FLAG = 0x71
"""In the BIOS data area: bit 7 says that Ctrl-Break was pressed."""


class KeyBuffer:
    """The ring in the BIOS data area, which programs also use themselves.

    Where its pointers make no sense any more, it is empty and where the BIOS had it.
    """

    def __init__(self, bda: Bda) -> None:
        self._bda = bda

    def put(self, key: int) -> bool:
        """Append a key; False if there is no room."""
        start, end, head, tail = self._pointers()
        after = start if tail + 2 == end else tail + 2
        if after == head:
            return False
        self._bda.set_word(tail, key)
        self._bda.set_word(field.KEY_TAIL, after)
        return True

    def first(self) -> int | None:
        """The next key, which stays there."""
        _, _, head, tail = self._pointers()
        return None if head == tail else self._bda.word(head)

    def drop(self) -> None:
        """Remove the next key, if there is one."""
        start, end, head, tail = self._pointers()
        if head != tail:
            self._bda.set_word(field.KEY_HEAD, start if head + 2 == end else head + 2)

    def clear(self) -> None:
        """Remove all keys."""
        start, *_ = self._pointers()
        self._bda.set_word(field.KEY_HEAD, start)
        self._bda.set_word(field.KEY_TAIL, start)

    def _pointers(self) -> tuple[int, int, int, int]:
        """Start, end, head and tail, all in range."""
        start = self._bda.word(field.KEY_BUFFER_START)
        end = self._bda.word(field.KEY_BUFFER_END)
        head = self._bda.word(field.KEY_HEAD)
        tail = self._bda.word(field.KEY_TAIL)
        even = not (start | end | head | tail) & 1
        if even and field.KEY_BUFFER <= start <= min(head, tail) <= max(head, tail) < end:
            return start, end, head, tail
        start, end = field.KEY_BUFFER, field.KEY_BUFFER_DEFAULT_END
        for pointer in (field.KEY_HEAD, field.KEY_TAIL, field.KEY_BUFFER_START):
            self._bda.set_word(pointer, start)
        self._bda.set_word(field.KEY_BUFFER_END, end)
        return start, end, start, start


class Keyboard:
    """The keyboard services, and the host's side of the keyboard.

    Args:
        bda: the BIOS data area.

    Attributes:
        on_room: called when the guest's buffer has taken all that the host has typed.
    """

    def __init__(self, bda: Bda) -> None:
        self._bda = bda
        self._buffer = KeyBuffer(bda)
        self._codes = ScanCodes(bda)
        self._typed: deque[int] = deque()
        self.on_room: Callable[[], None] | None = None

    # The host's side.

    @property
    def room(self) -> int:
        """How many keys `type` takes now."""
        return TYPED_AHEAD - len(self._typed)

    def type(self, data: bytes) -> int:
        """Press the keys for what a terminal sent (see `keymap.keys_from`).

        They wait on the host until `refill`: a guest that has left the BIOS may use its data area.

        Returns:
            how many keys were dropped for want of room.
        """
        keys = keys_from(data)
        taken = keys[: self.room]
        self._typed.extend(taken)
        return len(keys) - len(taken)

    def take(self, *, from_guest: bool) -> list[int]:
        """Take away the keys that the guest has not read, at most `TYPED_AHEAD`.

        Args:
            from_guest: those in its buffer, too.
        """
        keys: list[int] = []
        while from_guest and len(keys) < TYPED_AHEAD:
            key = self._buffer.first()
            if key is None:
                break
            keys.append(key)
            self._buffer.drop()
        keys.extend(self._typed)
        self._typed.clear()
        return keys[:TYPED_AHEAD]

    def give(self, keys: Sequence[int]) -> None:
        """Press what `take` has brought, before anything else is typed."""
        self._typed.extend(keys)

    def refill(self) -> None:
        """Move keys that wait on the host into the guest's buffer, as far as there is room."""
        moved = False
        while self._typed and self._buffer.put(self._typed[0]):
            self._typed.popleft()
            moved = True
        if moved and not self._typed and self.on_room is not None:
            self.on_room()

    # The guest's side.

    def scan_code(self, call: Call) -> None:
        """INT 09h, from its stub: the scan code is in AL; signals Ctrl-Break."""
        key = self._codes.key(call.registers.al)
        if key == BREAK:
            self._buffer.clear()
            self._bda.set_byte(CTRL_BREAK_FLAG, 0x80)
            call.signal = True
        if key is not None:
            self._buffer.put(key)

    def interrupt(self, call: Call) -> None:
        """INT 16h, by AH."""
        self.refill()
        r = call.registers
        if r.ah in (0x00, 0x10):
            self._read(call, enhanced=r.ah == 0x10)
        elif r.ah in (0x01, 0x11):
            self._look(call, enhanced=r.ah == 0x11)
        elif r.ah == 0x02:
            r.al = self._bda.byte(field.SHIFT_FLAGS)
        elif r.ah == 0x05:
            r.al = 0 if self._buffer.put(r.cx) else 1
        elif r.ah == 0x12:
            r.al = self._bda.byte(field.SHIFT_FLAGS)
            r.ah = self._extended_flags()

    def _read(self, call: Call, *, enhanced: bool) -> None:
        """Take a key, or signal that there is none yet."""
        key = self._next(enhanced=enhanced)
        if key is None:
            call.signal = True
            return
        self._buffer.drop()
        call.registers.ax = key

    def _look(self, call: Call, *, enhanced: bool) -> None:
        """Whether there is a key: it in AX and ZF clear, else ZF set."""
        key = self._next(enhanced=enhanced)
        call.set_zero(key is None)
        if key is not None:
            call.registers.ax = key

    def _next(self, *, enhanced: bool) -> int | None:
        """The next key as the service shows it; those that the old services lack are dropped."""
        for _ in range(TYPED_AHEAD):
            key = self._buffer.first()
            if key is None:
                break
            shown = key if enhanced else as_before(key)
            if shown is not None:
                return shown
            self._buffer.drop()
            self.refill()
        return None

    def _extended_flags(self) -> int:
        """AH of AH=12h: which of the two Ctrl and Alt keys, and the lock keys themselves."""
        held = self._bda.byte(field.SHIFT_FLAGS_2)
        right = self._bda.byte(field.KEYBOARD_STATE) & 0x0C
        return held & 0x73 | right | (held & 0x04) << 5


def as_before(key: int) -> int | None:
    """A key as the services for the 84-key keyboard return it; None if that had no such key."""
    scan, character = key >> 8, key & 0xFF
    if scan == 0xE0:
        return 0x352F if character == ord("/") else 0x1C00 | character
    if character == 0xE0 and scan:
        character = 0
    if character == 0 and scan > 0x84:
        return None
    return scan << 8 | character
