"""What sees each instruction of an emulated guest before it runs, and can have it stop there.

The function is in C (csrc/watch.c).
"""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.emu.hooks import Uc, add_hook, address_of


class Watch:
    """Watches one processor.

    Args:
        uc: the processor, a `unicorn.Uc`.

    Raises:
        EmulatorUnavailable: it does not let itself be watched.
    """

    def __init__(self, uc: Uc) -> None:
        from unicorn import unicorn_const as const
        from unicorn import x86_const as x86

        self._struct = ffi.new("struct shim_watch *")
        self._struct.flags_id = x86.UC_X86_REG_EFLAGS
        self._struct.read_register = address_of("uc_reg_read")
        self._struct.stop = address_of("uc_emu_stop")
        add_hook(uc, const.UC_HOOK_CODE, "shim_watch_instruction", self._struct)

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
