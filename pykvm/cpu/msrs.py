"""Model-specific registers that KVM does not have, answered by the host.

KVM leaves an access to a register that it does not know to userspace, if told to
(KVM_CAP_X86_USER_SPACE_MSR).  Here is decided what the guest gets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from pykvm._shim import lib
from pykvm.bus import UNCLAIMED_KEPT
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.kvm.runpage import RunPage
    from pykvm.kvm.vm import Vm

Read = Callable[[], int]
Write = Callable[[int], object]

_INDICES = 1 << 32
_VALUES = 1 << 64


class MsrRefused(Exception):
    """Raised by an answer's `read` or `write`: the guest gets #GP, as for a reserved bit."""


class MsrSpace:
    """What the registers that KVM leaves to the host hold.

    A register without an answer is none: RDMSR and WRMSR raise #GP(0), as on a processor without
    it (SDM vol. 2B, RDMSR and WRMSR).  Such accesses are counted, in the way of `Bus`.

    Attributes:
        name: "MSR", for messages.
        unclaimed: how often there was no answer, by (is_write, index); the first 4096 of them.
        unclaimed_elsewhere: how often there was none for further registers.
    """

    name = "MSR"

    def __init__(self) -> None:
        self.unclaimed: Counter[tuple[bool, int]] = Counter()
        self.unclaimed_elsewhere = 0
        self._reads: dict[int, Read] = {}
        self._writes: dict[int, Write] = {}

    def answer(
        self, index: int, *, read: Read | int | None = None, write: Write | None = None
    ) -> None:
        """Say what the guest gets from a register that KVM does not know.

        A later answer takes the place of an earlier one.  Both are called on the processor's
        thread, and may raise `MsrRefused`.  KVM's own registers never get here.

        Args:
            index: the register's number, 32 bits.
            read: the value, or what returns it when RDMSR comes; of one too wide the low 64 bits
                count.  None: RDMSR is as before.
            write: called with the 64-bit value that WRMSR brings.  None: WRMSR is as before.

        Raises:
            ValueError: `index` has more than 32 bits, or `read` is a number of more than 64.
        """
        if not 0 <= index < _INDICES:
            raise ValueError(f"an MSR's number has 32 bits, {index:#x} has not")
        if isinstance(read, int):
            if not 0 <= read < _VALUES:
                raise ValueError(f"MSR {index:#x}: {read:#x} does not fit into its 64 bits")
            self._reads[index] = partial(int, read)
        elif read is not None:
            self._reads[index] = read
        if write is not None:
            self._writes[index] = write

    def catch(self, vm: Vm) -> None:
        """Have KVM ask for the registers it does not know, before the guest first runs.

        Raises:
            CapabilityMissing: the host's KVM (before Linux 5.10) cannot: the guest gets #GP.
        """
        vm.require(lib.KVM_CAP_X86_USER_SPACE_MSR)
        vm.enable_cap(lib.KVM_CAP_X86_USER_SPACE_MSR, lib.KVM_MSR_EXIT_REASON_UNKNOWN)

    def catch_if_possible(self, vm: Vm) -> None:
        """The same, but for a host that cannot, where the guest gets #GP and nobody hears of it."""
        if vm.check(lib.KVM_CAP_X86_USER_SPACE_MSR):
            self.catch(vm)

    def reply(self, page: RunPage) -> None:
        """Answer the MSR exit that a run page holds; the next KVM_RUN goes on from there."""
        exit = page.details()
        try:
            if exit.reason == lib.KVM_EXIT_X86_WRMSR:
                self.write(exit.msr_index, exit.msr_data)
                page.reply_msr()
            else:
                page.reply_msr(self.read(exit.msr_index))
        except MsrRefused:
            page.reply_msr(fault=True)

    def read(self, index: int) -> int:
        """What RDMSR gives, 64 bits; raises `MsrRefused` for #GP."""
        answer = self._reads.get(index)
        if answer is None:
            raise self._missing(index, is_write=False)
        return answer() & (_VALUES - 1)

    def write(self, index: int, value: int) -> None:
        """Do what WRMSR does; raises `MsrRefused` for #GP."""
        answer = self._writes.get(index)
        if answer is None:
            raise self._missing(index, is_write=True)
        answer(value)

    def _missing(self, index: int, *, is_write: bool) -> MsrRefused:
        key = is_write, index
        if key in self.unclaimed or len(self.unclaimed) < UNCLAIMED_KEPT:
            self.unclaimed[key] += 1
        else:
            self.unclaimed_elsewhere += 1
        return MsrRefused(f"there is no MSR {index:#x}")
