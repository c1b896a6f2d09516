"""The exit recorder: a ring of what each KVM_RUN came back with, filled by the C loop.

    recorder = Recorder(65536)
    machine.cpus[0].loop.record(recorder)
    machine.run()
    for record in recorder.take(): ...

A record is one KVM_RUN, so what KVM handles itself, and writes that it coalesces, make none.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm._shim import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pykvm.kvm.vcpu import Vcpu

_RECORD = struct.Struct("<6QIIHHB?BB")
assert _RECORD.size == ffi.sizeof("struct shim_record")

INTR: int = lib.KVM_EXIT_INTR
"""KVM_EXIT_INTR: a signal, a tick or a kick, of pykvm's own making for the most part."""

HANDLERS = ("Python", "posted", "constant", "native")
"""How an exit was handled, by `Record.handled`: by Python, or by C in one of three ways."""


class Record(NamedTuple):
    """One KVM_RUN.

    Userspace had the processor from `left` to the next record's `entered`, of which the ticks
    in the next record's `paused` were spent in `Recorder.on_records` and `Recorder.aside`.
    """

    entered: int
    """The host's TSC just before KVM_RUN."""
    left: int
    """The same just behind it."""
    paused: int
    """Ticks between the record before and `entered` that were the recorder's, not userspace's."""
    address: int
    """A port, a guest-physical address or an MSR's number; for a DEBUG exit a linear address."""
    value: int
    """What was read or written, the first element of a string instruction; DR6 for a DEBUG exit;
    otherwise the number that says what happened: suberror, vector, event, hypercall."""
    rip: int
    """RIP as KVM left it: at the instruction or behind it, as hosts differ.  0: not shared."""
    cs_base: int
    """The base of CS; 0 unless segments are recorded."""
    # a tuple's method of that name gives way
    count: int  # type: ignore[assignment]
    """Elements of an I/O or MMIO access; 0 for other exits."""
    reason: int
    """KVM_EXIT_*; INTR also stands for a KVM_RUN that gave EINTR or EAGAIN."""
    vcpu: int
    """The vCPU's number."""
    size: int
    """Bytes of one element."""
    is_write: bool
    """Whether the guest gave `value`, rather than got it."""
    handled: int
    """Who answered: 0 is Python, all else C (`HANDLERS`)."""
    code_width: int
    """Whether the code is 16, 32 or 64 bits wide; 0 unless segments are recorded."""


class Recorder:
    """A ring of the exits of one vCPU; `RunLoop.record` puts it to work.

    Args:
        entries: how many records it holds, of 64 bytes each; 1 or more.
        segments: record `cs_base` and `code_width`, too: where hosts share the special registers
            in the run page; it has KVM copy all of them at each exit.
        on_records: called with records, in order, when the ring is full or a tick passes, on the
            thread that runs the vCPU, which waits: none is lost.  Without it the oldest are.

    Attributes:
        lost: how many records were overwritten before `take` came to them.
        has_rip: whether the host shares RIP (KVM_CAP_SYNC_REGS); known once it is at work.

    Raises:
        ValueError: `entries` is less than 1.
    """

    def __init__(
        self,
        entries: int,
        *,
        segments: bool = False,
        on_records: Callable[[list[Record]], None] | None = None,
    ) -> None:
        if entries < 1:
            raise ValueError(f"a recorder of {entries} records")
        self._records = ffi.new("struct shim_record[]", entries)
        self._bytes = ffi.buffer(self._records)
        self._c: Any = ffi.new("struct shim_recorder *")
        self._c.records = self._records
        self._c.size = entries
        self._c.waits = on_records is not None
        self._on_records = on_records
        self._segments = segments
        self._vcpu: Vcpu | None = None
        self._loop: Any = None
        self.lost = 0

    @property
    def has_rip(self) -> bool:
        """Whether records have a RIP."""
        return bool(self._c.has_rip)

    def attach(self, vcpu: Vcpu, loop: Any) -> None:
        """Begin to record.  For `RunLoop.record`.

        Args:
            vcpu: whose exits.
            loop: its `struct shim_vcpu *`.

        Raises:
            ValueError: it is at work already.
        """
        if self._vcpu is not None:
            raise ValueError("the recorder is at work for a vCPU already")
        offered = vcpu.vm.check(lib.KVM_CAP_SYNC_REGS)
        self._c.has_rip = bool(offered & lib.KVM_SYNC_X86_REGS)
        self._c.has_segments = self._segments and bool(offered & lib.KVM_SYNC_X86_SREGS)
        self._c.vcpu = vcpu.id
        self._shared_before = vcpu.page.run.kvm_valid_regs
        wanted = self._c.has_rip * lib.KVM_SYNC_X86_REGS
        wanted |= self._c.has_segments * lib.KVM_SYNC_X86_SREGS
        vcpu.page.run.kvm_valid_regs |= wanted
        self._vcpu, self._loop = vcpu, loop
        loop.recorder = self._c

    def detach(self) -> None:
        """End it; what was recorded stays.  For `RunLoop.record`."""
        if self._vcpu is None:
            return
        self._settle()
        if self._vcpu.fd >= 0:
            self._vcpu.page.run.kvm_valid_regs = self._shared_before
        self._loop.recorder = ffi.NULL
        self._vcpu = self._loop = None

    def enter(self) -> int:
        """As `shim_run`, with `on_records` called in between.  For `RunLoop.enter`."""
        loop = self._loop  # a callback may take the recorder away
        while True:
            reason: int = lib.shim_run(loop)
            if reason in (lib.SHIM_RECORDS, lib.SHIM_INTERRUPTED):
                with self.aside():
                    self.flush()
            if reason != lib.SHIM_RECORDS:
                return reason

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done within counts as `Record.paused`, not as userspace's time.

        On the thread that runs the vCPU, outside of KVM_RUN.
        """
        start = lib.shim_tsc()
        try:
            yield
        finally:
            self._c.paused += lib.shim_tsc() - start

    def flush(self) -> None:
        """Give `on_records` what there is."""
        if self._on_records is not None:
            records = self.take()
            if records:
                self._on_records(records)

    def take(self) -> list[Record]:
        """The records since the last call, oldest first.

        On the thread that runs the vCPU, or while none does: the last of them is a read, perhaps,
        whose value is only known once it is answered.
        """
        self._settle()
        c = self._c
        written: int = c.written
        entries: int = c.size
        if written - c.taken > entries:
            self.lost += written - c.taken - entries
            c.taken = written - entries
        first, end = c.taken % entries, written % entries
        whole = c.taken == written
        c.taken = written
        if whole:
            return []
        if first < end:
            return self._read(first, end)
        return self._read(first, entries) + self._read(0, end)

    def _read(self, first: int, end: int) -> list[Record]:
        data = self._bytes[first * _RECORD.size : end * _RECORD.size]
        return list(map(Record._make, _RECORD.iter_unpack(data)))

    def _settle(self) -> None:
        if self._vcpu is not None and self._vcpu.fd >= 0:
            lib.shim_settle_record(self._loop)


def merge(*recorded: list[Record]) -> list[Record]:
    """The records of several vCPUs in one list, by the time at which they left the guest.

    The processors' TSCs must be synchronous, as those of one socket are on all x86 hosts of this
    century's second decade and later ("constant_tsc" and "nonstop_tsc" in /proc/cpuinfo).

    Args:
        recorded: what `Recorder.take` gave for each.
    """
    from heapq import merge as merge_sorted

    return list(merge_sorted(*recorded, key=lambda record: record.left))
