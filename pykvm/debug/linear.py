"""A machine's memory as its processors address it: linear addresses, through their page tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm.debug.page_entries import Controls
from pykvm.debug.paging import Translation, translate
from pykvm.errors import TranslationError
from pykvm.memory import Gpa
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from pykvm.debug.patches import Patches
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.machine import Machine

_ADDRESS_SIZES = 0x8000_0008
_EXTENDED_FEATURES = 0x8000_0001
_PAGE_1GB = 1 << 26


class LinearMemory:
    """Reads and writes what a processor sees at linear addresses, breakpoints hidden.

    Args:
        machine: whose; the processor that is asked about does not run meanwhile.
        patches: what is to be hidden.
    """

    def __init__(self, machine: Machine, patches: Patches) -> None:
        self._memory = machine.memory
        self._cpus = machine.cpus
        self._patches = patches
        self._physical_bits, self._gigabyte_pages = paging_features(machine.cpus[0].vcpu)
        self.read_physical = machine.read_physical

    def translate(self, processor: int, gva: int) -> Translation:
        """The walk of a processor's page tables, as they are now, for a linear address."""
        sregs = self._cpus[processor].vcpu.get_sregs_raw()
        controls = Controls.of(sregs, self._physical_bits, self._gigabyte_pages)
        return translate(self.read_physical, controls, gva)

    def find(self, gva: int) -> Gpa | None:
        """Where in RAM the first processor that maps a linear address has it; None: nowhere."""
        for processor in range(len(self._cpus)):
            gpa = self.gpa(processor, gva)
            if gpa is not None:
                return gpa
        return None

    def gpa(self, processor: int, gva: int) -> Gpa | None:
        """Where in RAM a processor has a linear address; None: nowhere."""
        gpa = self.translate(processor, gva).gpa
        return Gpa(gpa) if gpa is not None and self._memory.contains(gpa, 1) else None

    def read(self, processor: int, gva: int, length: int) -> bytes:
        """A copy of `length` bytes.

        Raises:
            TranslationError: they are not all mapped to RAM, or to a firmware image's ROM.
        """
        return b"".join(self._parts(processor, gva, length))

    def peek(self, processor: int, gva: int, length: int) -> bytes:
        """As `read`, as far as that goes: up to `length` bytes, possibly none."""
        found = b""
        with suppress(TranslationError):
            for part in self._parts(processor, gva, length):
                found += part
        return found

    def write(self, processor: int, gva: int, data: bytes) -> None:
        """Store `data`, whatever the page's rights; breakpoints in it stay.

        Raises:
            TranslationError: it is not all mapped to RAM; nothing is stored then.
        """
        pieces = list(self._pieces(processor, gva, len(data)))
        for place, gpa, size in pieces:
            if not self._memory.contains(gpa, size):
                raise _no_ram(place, gpa)
        for place, gpa, size in pieces:
            self._patches.write(Gpa(gpa), data[place - gva : place - gva + size])

    def _parts(self, processor: int, gva: int, length: int) -> Iterator[bytes]:
        for place, gpa, size in self._pieces(processor, gva, length):
            data = self.read_physical(gpa, size)
            if data is None:
                raise _no_ram(place, gpa)
            yield self._patches.hide(gpa, data)

    def _pieces(self, processor: int, gva: int, length: int) -> Iterator[tuple[int, int, int]]:
        """The pages' shares of a range: linear and physical address, and length, of each."""
        end = gva + length
        while gva < end:
            size = min(end - gva, PAGE_SIZE - gva % PAGE_SIZE)
            found = self.translate(processor, gva)
            if found.gpa is None:
                raise TranslationError(f"cannot reach {gva:#x}: {found.failure}")
            yield gva, found.gpa, size
            gva += size


def _no_ram(gva: int, gpa: int) -> TranslationError:
    return TranslationError(f"cannot reach {gva:#x}: it is at {gpa:#x}, where there is no RAM")


def paging_features(vcpu: Vcpu) -> tuple[int, bool]:
    """MAXPHYADDR, and whether there are pages of 1 GiB, as CPUID tells the guest."""
    leaves = {entry.function: entry for entry in vcpu.get_cpuid2()}
    sizes = leaves.get(_ADDRESS_SIZES)
    # SDM vol. 3A, 4.1.4: without the leaf it is 36 where there is PAE
    bits = 36 if sizes is None else sizes.eax & 0xFF
    features = leaves.get(_EXTENDED_FEATURES)
    return min(bits, 52), features is not None and bool(features.edx & _PAGE_1GB)
