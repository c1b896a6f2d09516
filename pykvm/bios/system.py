"""INT 15h, 11h and 12h: what the machine has, its memory, the A20 gate, waiting.

Sources: IBM PC AT and PS/2 Technical References, "BIOS listing" (CASSETTE_IO); ACPI specification
6.5, chapter 15 (E820); Ralf Brown's Interrupt List, INT 15h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.block_move import move_block
from pykvm.bios.rom import SEGMENT, SYSTEM_TABLE
from pykvm.bios.waiting import Wait
from pykvm.boot.bios_data import EQUIPMENT, MEMORY_KIB
from pykvm.boot.e820 import extended_memory
from pykvm.devices.port92 import A20, FAST_RESET
from pykvm.layout import EBDA, KIB, MIB, PORT92

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call
    from pykvm.bios.ports import Ports
    from pykvm.memory import GuestMemory

SMAP = 0x534D_4150
UNSUPPORTED = 0x86
WAIT_IN_PROGRESS = 0x83
BY_KEYBOARD_CONTROLLER, BY_PORT_92 = 1, 2

_ENTRY = struct.Struct("<QQI")
_CHUNK = 64 * KIB
_FIRST_15_MIB = 15 * MIB
MAX_88 = 63 * MIB
"""AH=88h tells no more: there are programs that take its result for a signed number."""


class SystemServices:
    """The services.

    Args:
        memory: guest RAM.
        bda: the BIOS data area.
        ports: the port bus, with the A20 gate on it.
        ranges: the memory map: base, size and type of ranges in ascending order.
        monotonic: in ns.
    """

    def __init__(
        self,
        memory: GuestMemory,
        bda: Bda,
        ports: Ports,
        *,
        ranges: Sequence[tuple[int, int, int]],
        monotonic: Callable[[], int],
    ) -> None:
        self._memory = memory
        self._bda = bda
        self._ports = ports
        self._ranges = tuple(ranges)
        self._extended = extended_memory(ranges)
        self._wait = Wait(monotonic)
        self._functions = {
            0x24: self._a20,
            0x4F: _leave,  # a key is coming: nobody wants to change it
            0x80: _succeed,  # a device is opened,
            0x81: _succeed,  # closed,
            0x82: _succeed,  # a program ends: hooks for multitasking
            0x85: _succeed,  # the system request key
            0x86: self._wait_for,
            0x87: lambda call: move_block(call, memory),
            0x88: self._extended_memory,
            0x90: _succeed,  # a device is busy
            0x91: _succeed,  # it no longer is
            0xC0: self._configuration,
            0xC1: self._extended_data_area,
            0xE8: self._big_memory,
        }

    def equipment(self, call: Call) -> None:
        """INT 11h: the equipment word."""
        call.registers.ax = self._bda.word(EQUIPMENT)

    def memory_size(self, call: Call) -> None:
        """INT 12h: KiB of conventional memory."""
        call.registers.ax = self._bda.word(MEMORY_KIB)

    def interrupt(self, call: Call) -> None:
        """INT 15h, by AH."""
        self._functions.get(call.registers.ah, _refuse)(call)

    def _a20(self, call: Call) -> None:
        r = call.registers
        latch = self._ports.read(PORT92, 1) & ~FAST_RESET
        if r.al in (0x00, 0x01):
            self._ports.write(PORT92, 1, latch & ~A20 | (A20 if r.al else 0))
            call.succeed()
        elif r.al == 0x02:
            r.al = 1 if latch & A20 else 0
            call.succeed()
        elif r.al == 0x03:
            r.bx = BY_KEYBOARD_CONTROLLER | BY_PORT_92
            call.succeed()
        else:
            _refuse(call)

    def _wait_for(self, call: Call) -> None:
        """AH=86h: wait CX:DX microseconds; signals that they are not over."""
        r = call.registers
        if self._wait.active and not self._wait.belongs_to(call.stack):
            call.fail(WAIT_IN_PROGRESS)
        elif self._wait.over(call.stack, (r.cx << 16 | r.dx) * 1000):
            self._bda.set_byte(field.WAIT_ACTIVE, 0)
            call.succeed()
        else:
            self._bda.set_byte(field.WAIT_ACTIVE, 1)
            call.signal = True

    def _extended_memory(self, call: Call) -> None:
        call.registers.ax = min(self._extended, MAX_88) // KIB
        call.set_carry(False)

    def _configuration(self, call: Call) -> None:
        call.registers.load_es(SEGMENT)
        call.registers.bx = SYSTEM_TABLE
        call.succeed()

    def _extended_data_area(self, call: Call) -> None:
        call.registers.load_es(EBDA >> 4)
        call.set_carry(False)

    def _big_memory(self, call: Call) -> None:
        r = call.registers
        if r.al == 0x01:
            r.ax = r.cx = min(self._extended, _FIRST_15_MIB) // KIB
            r.bx = r.dx = max(self._extended - _FIRST_15_MIB, 0) // _CHUNK
            call.set_carry(False)
        elif r.al == 0x20 and r.edx == SMAP:
            self._next_range(call)
        else:
            _refuse(call)

    def _next_range(self, call: Call) -> None:
        """AX=E820h: the range whose number is in EBX; the next one's is returned there."""
        r = call.registers
        number = r.ebx
        buffer = call.buffer(r.es, r.di, _ENTRY.size)
        if number >= len(self._ranges) or r.ecx < _ENTRY.size or buffer is None:
            _refuse(call)
            return
        self._memory.write(buffer, _ENTRY.pack(*self._ranges[number]))
        r.rax = SMAP
        r.rbx = number + 1 if number + 1 < len(self._ranges) else 0
        r.rcx = _ENTRY.size
        call.set_carry(False)


def _leave(call: Call) -> None:
    """Change nothing."""


def _succeed(call: Call) -> None:
    call.succeed()


def _refuse(call: Call) -> None:
    call.fail(UNSUPPORTED)
