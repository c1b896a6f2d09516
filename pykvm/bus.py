"""Buses: from an address to the device that claims it.

A bus turns what left the guest (address, size, count, raw bytes) into register accesses: it
finds the owner, converts little-endian bytes to integers, splits a string instruction into its
elements and an access wider than the device takes into narrower ones.  Devices therefore see
offsets and integers only, and need no locking of their own: the machine serialises dispatches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

from pykvm.errors import BusError, UnclaimedAccess
from pykvm.named import NamedTuple, Protocol

PORT_SPACE = 1 << 16
MEMORY_SPACE = 1 << 64

UNCLAIMED_KEPT = 4096
"""How many addresses `Bus.unclaimed` tells apart: a guest may touch more than a host can keep."""

_SIZES = {width: frozenset({1, 2, 4, 8} & set(range(width + 1))) for width in (1, 2, 4, 8)}


class Accelerator(Protocol):
    """What can answer for a device without asking Python: the C run loop's route table."""

    def post_writes(self, address: int, size: int, on: bool) -> None:
        """From now on, log writes of `size` bytes at `address`; deliver them in batches."""

    def answer_reads(self, address: int, size: int, value: int | None) -> None:
        """From now on, answer reads of `size` bytes at `address` with `value` (None: ask).

        `size` may be a sum of sizes, each of which reads the value's low bytes.
        """


class Shortcuts:
    """A device's own view of the accelerator, in its own offsets.

    Both calls are hints: a bus without an accelerator ignores them, and the device must behave
    the same with and without.  A posted write reaches `Device.write` late, yet before any access
    that the guest makes after it and that Python sees; an answered read never reaches
    `Device.read`.  So post only writes whose effect the guest cannot observe through an answered
    read, and answer only reads that have no side effect.
    """

    __slots__ = ("_accelerator", "_base")

    def __init__(self, accelerator: Accelerator | None, base: int) -> None:
        self._accelerator = accelerator
        self._base = base

    def post(self, offset: int, size: int = 1, *, on: bool = True) -> None:
        """Let writes of `size` bytes at `offset` be delivered in batches (or stop that)."""
        if self._accelerator is not None:
            self._accelerator.post_writes(self._base + offset, size, on)

    def answer(self, offset: int, value: int | None, size: int = 1) -> None:
        """Let reads of `size` bytes at `offset` be answered with `value` (None: stop that).

        Each call takes the place of the one before it at `offset`.  `size` may be a sum of sizes,
        each of which reads the value's low bytes.
        """
        if self._accelerator is not None:
            self._accelerator.answer_reads(self._base + offset, size, value)


class Device:
    """The base of all devices: subclass it, say what reads and writes do, attach it to a bus.

    A device knows its register offsets, its interrupt line and its sink, which it takes by
    constructor; never its address, the machine or KVM.

    Attributes:
        name: how messages call it.
        width: the widest access in bytes (1, 2, 4 or 8) that `read` and `write` take.  The bus
            splits wider ones, and those of 3, 5, 6 or 7 bytes that KVM makes at a page's edge,
            into little-endian parts, lowest offset first.
    """

    name = "device"
    width = 1

    def read(self, offset: int, size: int) -> int:
        """Return the `size`-byte value at `offset`; a bus takes its low `8 * size` bits."""
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Store the `size`-byte `value` at `offset`."""

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """Store a run of `size`-byte elements, one after the other, all at `offset`.

        String instructions and batches of posted writes arrive here.  Override it where a whole
        run can be handled at once; it must equal the element-wise writes that this one makes.
        """
        for i in range(0, len(data), size):
            self.write(offset, size, int.from_bytes(data[i : i + size], "little"))

    def connect(self, shortcuts: Shortcuts) -> None:
        """Called once when attached; override it to use `shortcuts`."""


class Attachment(NamedTuple):
    """Where a device sits: `base` to `end` (exclusive), the name shown for it, and the access
    sizes that it takes whole."""

    base: int
    end: int
    device: Device
    name: str
    sizes: frozenset[int]


_NOBODY = Attachment(0, 0, Device(), "nobody", frozenset())
"""Claims no access."""


class Bus:
    """An address space with devices in it.

    Args:
        name: "port" or "MMIO", for messages.
        limit: the size of the address space in bytes.
        strict: raise `UnclaimedAccess` where no device answers, instead of floating high.
        accelerator: handed to devices as `Shortcuts`.

    Attributes:
        unclaimed: how often nobody answered, by (is_write, address); the first 4096 of them.
        unclaimed_elsewhere: how often nobody answered at further addresses.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        *,
        strict: bool = False,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.name = name
        self.limit = limit
        self.strict = strict
        self.unclaimed: Counter[tuple[bool, int]] = Counter()
        self.unclaimed_elsewhere = 0
        self._accelerator = accelerator
        self._attachments: list[Attachment] = []
        self._bases: list[int] = []
        self._last = _NOBODY  # whom the guest came to last: it will again

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """All attachments in address order."""
        return tuple(self._attachments)

    def attach(self, base: int, length: int, device: Device, name: str | None = None) -> None:
        """Give the addresses `base` to `base + length` (exclusive) to `device`.

        A device may be attached more than once, at several bases; it sees offsets from each.

        Raises:
            BusError: the range is empty, leaves the bus, or overlaps another device's; or the
                device's width is none of 1, 2, 4 and 8.
        """
        name = device.name if name is None else name
        sizes = _SIZES.get(device.width)
        if sizes is None:
            raise BusError(f"{name}: its width is {device.width}, not 1, 2, 4 or 8 bytes")
        end = base + length
        if length < 1 or base < 0 or end > self.limit:
            raise BusError(
                f"{name} cannot sit at {self.name} {base:#x}+{length:#x}: "
                f"the {self.name} space is {self.limit:#x} bytes"
            )
        at = bisect_right(self._bases, base)
        for other in self._attachments[max(at - 1, 0) : at + 1]:
            if base < other.end and other.base < end:
                raise BusError(
                    f"{name} at {self.name} {base:#x}-{end - 1:#x} overlaps {other.name} "
                    f"at {other.base:#x}-{other.end - 1:#x}"
                )
        # first what may raise: then a device that cannot be connected is not attached either
        device.connect(Shortcuts(self._accelerator, base))
        self._attachments.insert(at, Attachment(base, end, device, name, sizes))
        self._bases.insert(at, base)

    def detach(self, base: int) -> None:
        """Take away the device that is attached at `base`.

        Only for devices that use no `Shortcuts`.

        Raises:
            BusError: nothing is attached there.
        """
        at = bisect_right(self._bases, base) - 1
        if at < 0 or self._bases[at] != base:
            raise BusError(f"nothing is attached at {self.name} {base:#x}")
        del self._attachments[at], self._bases[at]
        self._last = _NOBODY

    def find(self, address: int) -> Attachment | None:
        """The attachment that claims `address`."""
        at = bisect_right(self._bases, address) - 1
        if at >= 0 and address < self._attachments[at].end:
            self._last = self._attachments[at]
            return self._last
        return None

    def read(self, address: int, size: int) -> int:
        """Read one `size`-byte value; bytes that nobody claims are 0xFF."""
        base, end, device, _, sizes = self._last
        if base <= address and address + size <= end and size in sizes:
            return device.read(address - base, size) & ((1 << 8 * size) - 1)
        owner = self.find(address)
        if owner is not None and size in owner.sizes and address + size <= owner.end:
            return owner.device.read(address - owner.base, size) & ((1 << 8 * size) - 1)
        value = shift = 0
        for part, step, target in self._split(address, size, owner, is_write=False):
            if target is None:
                got = (1 << 8 * step) - 1
            else:
                got = target.device.read(part - target.base, step) & ((1 << 8 * step) - 1)
            value |= got << shift
            shift += 8 * step
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """Write one `size`-byte value; bytes that nobody claims are dropped."""
        base, end, device, _, sizes = self._last
        if base <= address and address + size <= end and size in sizes:
            device.write(address - base, size, value)
            return
        owner = self.find(address)
        if owner is not None and size in owner.sizes and address + size <= owner.end:
            owner.device.write(address - owner.base, size, value)
            return
        for part, step, target in self._split(address, size, owner, is_write=True):
            if target is not None:
                target.device.write(part - target.base, step, value & ((1 << 8 * step) - 1))
            value >>= 8 * step

    def read_block(self, address: int, size: int, count: int) -> bytes:
        """Read `count` elements of `size` bytes, all from `address`, as `rep ins` does."""
        return b"".join(self.read(address, size).to_bytes(size, "little") for _ in range(count))

    def write_block(self, address: int, size: int, data: bytes) -> None:
        """Write elements of `size` bytes, all to `address`, as `rep outs` does."""
        owner = self.find(address)
        if owner is not None and size in owner.sizes and address + size <= owner.end:
            owner.device.write_block(address - owner.base, size, data)
            return
        for i in range(0, len(data), size):
            self.write(address, size, int.from_bytes(data[i : i + size], "little"))

    def _split(
        self, address: int, size: int, owner: Attachment | None, *, is_write: bool
    ) -> list[tuple[int, int, Attachment | None]]:
        """Cut an access into parts that one owner each takes whole, counting the unclaimed.

        An access that nobody claims at all counts once, with its full size.
        """
        parts: list[tuple[int, int, Attachment | None]] = []
        end = address + size
        while address < end:
            if owner is None:
                step = 1
                while address + step < end and self.find(address + step) is None:
                    step += 1
                self._count_unclaimed(address, step, is_write=is_write)
            else:
                step = min(owner.device.width, end - address)
                while address + step > owner.end or step not in owner.sizes:
                    step -= 1
            parts.append((address, step, owner))
            address += step
            owner = self.find(address)
        return parts

    def _count_unclaimed(self, address: int, size: int, *, is_write: bool) -> None:
        key = is_write, address
        if key in self.unclaimed or len(self.unclaimed) < UNCLAIMED_KEPT:
            self.unclaimed[key] += 1
        else:
            self.unclaimed_elsewhere += 1
        if self.strict:
            verb = "write to" if is_write else "read of"
            raise UnclaimedAccess(
                f"{size}-byte {verb} {self.name} {address:#x}: no device is there"
            )
