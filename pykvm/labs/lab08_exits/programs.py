"""Guests that are given as lists of steps: their code, and how many exits they take here."""

from __future__ import annotations

import gc
import os
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from pykvm.bus import Device

Step = tuple[Any, ...]
Host = dict[str, Any]

FIRST_PORT, PORTS = 0x300, 16
STATUS = 0x310
"""The port that guests poll."""
MEMORY_END = 0x10_FFF0
"""The first address that real mode does not reach."""
_LOAD_ADDRESS, _STACK = 0x1000, 0x1000
_EVENTS = ("KVM_EXIT_IO", "KVM_EXIT_MMIO")


def code_of(steps: Sequence[Step]) -> bytes:
    """Real-mode code, independent of its place, that takes the steps and halts."""
    start = (
        b"\x31\xc0"  # xor ax, ax
        b"\x8e\xd0"  # mov ss, ax
        b"\xbc" + struct.pack("<H", _STACK)  # mov sp, _STACK
    )
    return start + _body(steps) + b"\xfa\xf4"  # cli; hlt


def _body(steps: Sequence[Step]) -> bytes:
    return b"".join(_EMIT[kind](*rest) for kind, *rest in steps)


def _sized(size: int, byte: bytes, wide: bytes) -> bytes:
    """An instruction for AL, AX or EAX."""
    return {1: byte, 2: wide, 4: b"\x66" + wide}[size]


def _port(port: int) -> bytes:
    return b"\xba" + struct.pack("<H", port)  # mov dx, port


def _out(port: int, size: int) -> bytes:
    return _port(port) + _sized(size, b"\xee", b"\xef")  # out dx, al


def _in(port: int, size: int) -> bytes:
    return _port(port) + _sized(size, b"\xec", b"\xed")  # in al, dx


def _outs(port: int, size: int, count: int) -> bytes:
    return (
        _port(port) + b"\xb9" + struct.pack("<H", count)  # mov cx, count
        + b"\x31\xf6\xfc"  # xor si, si; cld
        + _sized(size, b"\xf3\x6e", b"\xf3\x6f")  # rep outsb
    )  # fmt: skip


def _memory(address: int, size: int, byte: bytes, wide: bytes) -> bytes:
    """An instruction whose operand is ES:offset."""
    segment = min(address >> 4, 0xFFFF)
    return (
        b"\xb8" + struct.pack("<H", segment)  # mov ax, segment
        + b"\x8e\xc0"  # mov es, ax
        + _sized(size, b"\x26" + byte, b"\x26" + wide)
        + struct.pack("<H", address - 16 * segment)
    )  # fmt: skip


def _load(address: int, size: int) -> bytes:
    return _memory(address, size, b"\xa0", b"\xa1")  # mov al, es:[offset]


def _store(address: int, size: int) -> bytes:
    return _memory(address, size, b"\xa2", b"\xa3")  # mov es:[offset], al


def _add(address: int, size: int) -> bytes:
    return _memory(address, size, b"\x00\x06", b"\x01\x06")  # add es:[offset], al


def _cpuid() -> bytes:
    return b"\x66\x31\xc0\x0f\xa2"  # xor eax, eax; cpuid


def _poll(port: int, _: int) -> bytes:
    return _port(port) + b"\xec\xa8\x01\x74\xfb"  # in al, dx; test al, 1; jz back to the first


def _loop(count: int, steps: Sequence[Step]) -> bytes:
    if count == 0:
        return b""
    inside = b"\x51" + _body(steps) + b"\x59\x49"  # push cx; ...; pop cx; dec cx
    back = struct.pack("<h", -len(inside) - 4)
    return b"\xb9" + struct.pack("<H", count) + inside + b"\x0f\x85" + back  # mov cx; ...; jnz


_EMIT: dict[str, Callable[..., bytes]] = {
    "out": _out,
    "in": _in,
    "outs": _outs,
    "load": _load,
    "store": _store,
    "add": _add,
    "cpuid": _cpuid,
    "poll": _poll,
    "loop": _loop,
}


class Quiet(Device):
    """Takes all, says nothing."""

    name = "quiet device"
    width = 8

    def read(self, offset: int, size: int) -> int:
        """Nothing."""
        return 0


class Busy(Device):
    """A status register that is busy as often as it was told, for each time that it is polled."""

    name = "busy device"

    def __init__(self, polls: Iterator[int]) -> None:
        self._polls = polls
        self._left = next(polls, 0)

    def read(self, offset: int, size: int) -> int:
        """1 if it is ready."""
        if self._left:
            self._left -= 1
            return 0
        self._left = next(self._polls, 0)
        return 1


def polls_of(steps: Sequence[Step]) -> Iterator[int]:
    """How often the device is busy, for each poll in the order in which the guest comes to them."""
    for kind, *rest in steps:
        if kind == "poll":
            yield rest[1]
        elif kind == "loop":
            for _ in range(rest[0]):
                yield from polls_of(rest[1])


def forget_emulators() -> None:
    """Free what machines before this one emulated with: a good deal of address space each, of which
    a check's process has not much, and which only the garbage collector gives back."""
    if "unicorn" in sys.modules:
        gc.collect()


def measure(steps: Sequence[Step], host: Host) -> int:
    """How many exits to userspace a guest takes here, for ports and memory.

    Args:
        steps: what it does.
        host: as `predict.exits` is given it.

    Raises:
        RuntimeError: it did not come to its end.
        PykvmError: such a machine cannot be had.
    """
    from pykvm.machine import Machine

    forget_emulators()
    in_kernel = bool(host["devices"])
    with ExitStack() as stack:
        machine = stack.enter_context(
            Machine(host["ram"], irqchip="kernel" if in_kernel else "none", stats=True)
        )
        machine.load(code_of(steps), load_address=_LOAD_ADDRESS, bios=False)
        machine.ports.attach(FIRST_PORT, PORTS, Quiet())
        machine.ports.attach(STATUS, 1, Busy(polls_of(steps)))
        machine.mmio.attach(host["ram"], (1 << 21) - host["ram"], Quiet())
        if host["coalesced"] or host["eventfds"]:
            _register(stack, machine, host)
        end = machine.run(timeout=5).reason.value
        if end != "halted":
            raise RuntimeError(f"the guest {steps} ended so: {end}")
        counts = machine.stats().exits
        return sum(counts.get(name, 0) for name in _EVENTS)


def _register(stack: ExitStack, machine: Any, host: Host) -> None:
    from pykvm.kvm.coalesced import CoalescedZone
    from pykvm.kvm.eventfd import IoEventFd

    for port, length in host["coalesced"]:
        stack.enter_context(CoalescedZone(machine.vm, port, length, pio=True))
    for port, size in host["eventfds"]:
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        stack.callback(os.close, fd)
        stack.enter_context(IoEventFd(machine.vm, fd, port, size, pio=True))


def written(steps: Sequence[Step]) -> str:
    """Steps as Python writes them, but with addresses and ports in hexadecimal."""
    words = []
    for kind, *rest in steps:
        if kind == "loop":
            words.append(f"('loop', {rest[0]}, {written(rest[1])})")
        else:
            values = [f"{rest[0]:#x}", *map(str, rest[1:])] if rest else []
            words.append(f"({', '.join([repr(kind), *values])})")
    return f"[{', '.join(words)}]"


PLAIN_HOST: Host = {"ram": 1 << 20, "devices": [], "coalesced": [], "eventfds": []}
KERNEL_HOST: Host = {
    "ram": 1 << 20,
    "devices": [0x21],
    "coalesced": [(0x304, 2)],
    "eventfds": [(0x308, 2)],
}
EXAMPLES: tuple[tuple[list[Step], Host], ...] = (
    ([("out", 0x300, 1), ("in", 0x301, 4)], PLAIN_HOST),
    ([("load", 0x5000, 4), ("store", 0x10_0000, 4)], PLAIN_HOST),
    ([("loop", 3, [("poll", STATUS, 2), ("out", 0x300, 1)])], PLAIN_HOST),
    ([("outs", 0x300, 1, 20)], PLAIN_HOST),
    ([("in", 0x21, 1), ("out", 0x304, 1), ("out", 0x308, 2)], KERNEL_HOST),
)


def show(exits: Callable[[list[Step], Host], tuple[int, int]]) -> None:
    """Print some guests with what `exits` predicts for each, and what this host takes."""
    from pykvm.errors import PykvmError

    print("predicted   measured   guest")
    for steps, host in EXAMPLES:
        least, most = exits(steps, host)
        predicted = str(least) if least == most else f"{least} to {most}"
        try:
            measured = str(measure(steps, host))
        except PykvmError as error:
            measured = f"cannot ({error})"
        print(f"{predicted:<11} {measured:<10} {written(steps)}")
