"""What sees each instruction of an emulated guest before it runs, and can have it stop there.

The function is in C (csrc/watch.c): Unicorn's binding itself knows callbacks in Python only.
"""

from __future__ import annotations

import ctypes
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.errors import EmulatorUnavailable


class Watch:
    """Watches one processor.

    Args:
        uc: the processor, a `unicorn.Uc`.

    Raises:
        EmulatorUnavailable: it does not let itself be watched.
    """

    def __init__(self, uc: Any) -> None:
        from unicorn import unicorn_const as const
        from unicorn import x86_const as x86
        from unicorn.unicorn_py3.unicorn import uclib

        self._struct = ffi.new("struct shim_watch *")
        self._struct.flags_id = x86.UC_X86_REG_EFLAGS
        self._struct.read_register = _address_of(uclib.uc_reg_read)
        self._struct.stop = _address_of(uclib.uc_emu_stop)
        function = int(ffi.cast("uintptr_t", ffi.addressof(lib, "shim_watch_instruction")))
        opaque = int(ffi.cast("uintptr_t", self._struct))
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            uc._uch,
            ctypes.byref(handle),
            const.UC_HOOK_CODE,
            ctypes.c_void_p(function),
            ctypes.c_void_p(opaque),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),  # an end before the beginning: everywhere
        )
        if status:
            raise EmulatorUnavailable(f"the emulator refused to be watched (error {status})")

    def begin(self) -> None:
        """Nothing of this run has run yet."""
        self._struct.size = 0

    def stop(self) -> None:
        """Have a run under way, or else the next, return before the next instruction.

        From any thread.
        """
        self._struct.wanted = 1

    def end(self) -> None:
        """The run has returned."""
        self._struct.wanted = 0

    def await_interrupt_flag(self, on: bool, *, shadowed: bool) -> None:
        """From now on, stop before an instruction that could be interrupted; or not any more.

        Args:
            on: which of the two.
            shadowed: the next one cannot be, whatever RFLAGS.IF is.
        """
        self._struct.awaits_if = on
        self._struct.shadowed = on and shadowed

    @property
    def last_instruction(self) -> tuple[int, int]:
        """The linear address and the length of what runs, or ran last."""
        return self._struct.address, self._struct.size

    @property
    def instructions(self) -> int:
        """How many have begun."""
        count: int = self._struct.count
        return count


def _address_of(function: Any) -> Any:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return ffi.cast("void *", address)
