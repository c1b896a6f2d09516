"""The emulator as a run loop: it runs a guest until something needs somebody else.

Unicorn calls back for port and memory-mapped I/O, for exceptions and for invalid opcodes.  Reads
must be answered right there; all else stops it, so that whoever handles it finds the registers as
they are between two instructions.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

from pykvm.emu.hooks import Uc, add_hook, import_unicorn, new_uc, remove_hook
from pykvm.emu.outcomes import Called, Failed, Handlers, Out, Outcome, Raised, Stopped
from pykvm.emu.rereads import Rereads
from pykvm.emu.state import State
from pykvm.emu.watch import Watch
from pykvm.x86 import PAGE_SIZE

PHYSICAL_END = 1 << 40
"""The first physical address that the emulated processor cannot reach."""

INVALID_OPCODE, GENERAL_PROTECTION = 6, 13


class Engine:
    """One emulated processor with its memory.

    Args:
        handlers: who answers.
        timed: take the time.

    Attributes:
        state: the registers, as of the last `fetch`.
        inside_ns: time spent in the guest, without what handlers took; 0 unless `timed`.

    Raises:
        EmulatorUnavailable: there is no Unicorn, or not the one that pykvm knows.
    """

    def __init__(self, handlers: Handlers, *, timed: bool = False) -> None:
        unicorn = import_unicorn()
        self._error_class = unicorn.UcError
        self._uc: Uc = new_uc()
        self._uc.ctl_exits_enabled(True)  # and there are none: no address ends a run
        self._handlers = handlers
        self._timed = timed
        self.inside_ns = 0
        self._roms: dict[int, tuple[int, bytes]] = {}  # by gpa: address in this process, content
        self._spoilt = False
        self._outcome: Out | Raised | Called | None = None
        self._exception: BaseException | None = None
        self._refused: bytes | None = None  # the state before an access that is not to be
        self.state = State(self._uc)
        self._rereads = Rereads()
        self._hook()
        self._watch = Watch(self._uc)

    def _hook(self) -> None:
        from unicorn import unicorn_const as const
        from unicorn import x86_const as x86

        add = self._uc.hook_add
        add(const.UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        add(const.UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        add(const.UC_HOOK_INSN, self._on_syscall, True, 1, 0, x86.UC_X86_INS_SYSCALL)
        add(const.UC_HOOK_INSN, self._on_syscall, False, 1, 0, x86.UC_X86_INS_SYSENTER)
        if self._handlers.cpuid is not None:
            add(const.UC_HOOK_INSN, self._on_cpuid, None, 1, 0, x86.UC_X86_INS_CPUID)
        add(const.UC_HOOK_INTR, self._on_exception)
        add(const.UC_HOOK_INSN_INVALID, self._on_invalid)
        add(const.UC_HOOK_MEM_WRITE_PROT, self._on_rom_write)

    def add_hook(self, kind: int, function: str, opaque: Any) -> int:
        """Have C called; see `pykvm.emu.hooks.add_hook`."""
        return add_hook(self._uc, kind, function, opaque)

    def remove_hook(self, handle: int) -> None:
        """Have it called no more."""
        remove_hook(self._uc, handle)

    # ---- memory

    def map(self, gpa: int, size: int, address: int, *, writable: bool = True) -> None:
        """Let the guest have host memory.

        Args:
            gpa: where it sees it.
            size: bytes; a multiple of the page size, as `gpa` is.
            address: where it is in this process; it must stay there.
            writable: as RAM; else what is written goes nowhere.
        """
        from unicorn import unicorn_const as const

        rights = const.UC_PROT_ALL if writable else const.UC_PROT_READ | const.UC_PROT_EXEC
        self._uc.mem_map_ptr(gpa, size, rights, address)
        if not writable:
            self._roms[gpa] = address, ctypes.string_at(address, size)

    def unmap(self, gpa: int, size: int) -> None:
        """Take away what was mapped: RAM, ROM or I/O."""
        self._uc.mem_unmap(gpa, size)
        self._roms.pop(gpa, None)  # its memory may go, too
        self.forget_code()

    def map_io(self, gpa: int, end: int) -> None:
        """Have the handlers answer from `gpa` to `end` (exclusive), multiples of the page size."""
        assert gpa % PAGE_SIZE == end % PAGE_SIZE == 0

        def read(_: Any, offset: int, size: int, __: object) -> int:
            return self._answer(self._read_memory, gpa + offset, size, size=size)

        def write(_: Any, offset: int, size: int, value: int, __: object) -> None:
            self._answer(self._handlers.memory_write, gpa + offset, size, value, size=size)

        self._uc.mmio_map(gpa, end - gpa, read, None, write, None)

    # ---- running

    def run(self) -> Outcome:
        """Run the guest, from where `state` is stored.

        Raises:
            Exception: whatever a handler has raised.
        """
        self._outcome = self._exception = None
        self._watch.begin()
        self.state.fetch()
        failure = None
        began = time.monotonic_ns() if self._timed else 0
        try:
            self._uc.emu_start(self.state.get("rip"), 0)
        except self._error_class as error:
            failure = Failed(error.errno, str(error))
        if self._timed:
            self.inside_ns += time.monotonic_ns() - began
        self._watch.end()
        self.state.fetch()
        if self._spoilt:
            self._restore_roms()
        exception, self._exception = self._exception, None
        if exception is not None:
            raise exception
        outcome = self._outcome
        if self._refused is not None:
            self.state.restore(self._refused)
            self.state.store()
            self._refused = None
            return Raised(GENERAL_PROTECTION, 0, is_software=False)
        if isinstance(outcome, Raised):
            error_code, is_software = self.state.exception
            if outcome.vector != INVALID_OPCODE:
                outcome = Raised(outcome.vector, error_code, is_software)
            if self.state.linear_rip == self._watch.last_instruction[0]:
                self.state.take_computed_flags()
            self.state.end_exception()
            self.state.store()
        return outcome or failure or Stopped()

    def stop(self) -> None:
        """Have a `run` under way, or else the next, return before the next instruction.

        From any thread.
        """
        self._watch.stop()

    def await_interrupt_flag(self, on: bool) -> None:
        """From now on, stop before an instruction that could be interrupted; or not any more."""
        self._watch.await_interrupt_flag(on, shadowed=self.state.is_shadowed)

    @property
    def last_instruction(self) -> tuple[int, int]:
        """The linear address and the length of what runs, or ran last."""
        return self._watch.last_instruction

    @property
    def instructions(self) -> int:
        """How many have begun."""
        return self._watch.instructions

    def forget_translations(self) -> None:
        """What addresses mean may have changed."""
        from unicorn import unicorn_const as const

        self._uc.ctl(const.UC_CTL_TLB_FLUSH, const.UC_CTL_IO_WRITE)

    def forget_code(self) -> None:
        """Code may have changed in memory, by other hands than the guest's."""
        self._uc.ctl_flush_tb()

    def read_msr(self, index: int) -> int:
        """A model-specific register that Unicorn has."""
        value: int = self._uc.msr_read(index)
        return value

    def read_register(self, name: str) -> Any:
        """One of Unicorn's registers, by its name there."""
        from unicorn import x86_const

        return self._uc.reg_read(getattr(x86_const, f"UC_X86_REG_{name}"))

    def write_register(self, name: str, value: Any) -> None:
        """Set one, likewise."""
        from unicorn import x86_const

        self._uc.reg_write(getattr(x86_const, f"UC_X86_REG_{name}"), value)

    # ---- what Unicorn calls

    def _answer(self, handler: Callable[..., Any], *args: int, size: int) -> int:
        """Call a handler; nothing may be raised through Unicorn."""
        value = (1 << 8 * size) - 1
        began = time.monotonic_ns() if self._timed else 0
        if self._exception is None:
            try:
                value = handler(*args) or 0
            except BaseException as error:
                self._exception = error
                self.stop()
        if self._timed:
            self.inside_ns -= time.monotonic_ns() - began
        return value

    def _read_memory(self, gpa: int, size: int) -> int:
        read = self._handlers.memory_read
        return self._rereads.read(self.instructions, gpa, size, lambda: read(gpa, size))

    def _refuses(self, port: int, size: int) -> bool:
        """Whether an access is not to be; then all but what INS has written is undone."""
        self.state.fetch()
        if not self.state.is_ruled:
            return False
        if not self._answer(self._handlers.may_access_port, port, size, size=1):
            self._refused = self.state.save()
            self.stop()
        return self._refused is not None

    def _on_in(self, _: Any, port: int, size: int, __: object) -> int:
        if self._refuses(port, size):
            return 0
        return self._answer(self._handlers.port_read, port, size, size=size)

    def _on_out(self, _: Any, port: int, size: int, value: int, __: object) -> None:
        if not self._refuses(port, size):
            self._outcome = Out(port, size, value & ((1 << 8 * size) - 1))
            self.stop()

    def _on_exception(self, _: Any, vector: int, __: object) -> None:
        self._outcome = Raised(vector, 0, is_software=False)
        self._uc.emu_stop()  # no instruction is under way

    def _on_invalid(self, _: Any, __: object) -> bool:
        self._outcome = Raised(INVALID_OPCODE, 0, is_software=False)
        return False

    def _on_syscall(self, _: Any, is_syscall: bool) -> None:
        address, size = self._watch.last_instruction
        self._outcome = Called(is_syscall, address, address + size)
        self._uc.emu_stop()  # that ends a block

    def _on_rom_write(self, *_: object) -> bool:
        """Unicorn either ends the run or does write: so let it, and take that back."""
        self._spoilt = True
        self.stop()
        return True

    def _restore_roms(self) -> None:
        for address, content in self._roms.values():
            ctypes.memmove(address, content, len(content))
        self._spoilt = False
        self.forget_code()

    def _on_cpuid(self, uc: Any, _: object) -> int:
        from unicorn import x86_const as x86

        assert self._handlers.cpuid is not None
        leaf, subleaf = (uc.reg_read(r) for r in (x86.UC_X86_REG_EAX, x86.UC_X86_REG_ECX))
        registers = "RAX", "RBX", "RCX", "RDX"
        for name, value in zip(registers, self._handlers.cpuid(leaf, subleaf), strict=True):
            uc.reg_write(getattr(x86, f"UC_X86_REG_{name}"), value)
        return 1  # that was it
