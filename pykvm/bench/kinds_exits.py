"""Kinds that come out to userspace: the C loop stamps each before KVM_RUN and behind it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pykvm._shim import ffi
from pykvm.bench.kinds import Bench, Kind, Measure
from pykvm.bench.rig import TIMEOUT, WARM_UP, Rig, Sample, Unable, metered
from pykvm.bus import Device
from pykvm.kvm.routes import MmioRoutes, PortRoutes
from pykvm.kvm.runloop import BUDGET_SPENT, INTERRUPTED
from pykvm.layout import BENCH_MMIO, BENCH_PORT, BENCH_RESULTS

OUT = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "eb fc"  # jmp back to it
)
IN = bytes.fromhex(
    "e4 10"  # in al, 0x10
    "eb fc"  # jmp back to it
)
STORE = bytes.fromhex(
    "89 07"  # mov [rdi], eax
    "eb fc"  # jmp back to it
)
LOAD = bytes.fromhex(
    "8b 07"  # mov eax, [rdi]
    "eb fc"  # jmp back to it
)
HALT = bytes.fromhex(
    "f4"  # hlt
    "eb fd"  # jmp back to it
)
OUTSB = bytes.fromhex(
    "b9 00 01 00 00"  # mov ecx, 256
    "48 89 de"  # mov rsi, rbx
    "f3 6e"  # rep outsb
    "eb f4"  # jmp back to the first
)
INSB = bytes.fromhex(
    "b9 00 01 00 00"  # mov ecx, 256
    "48 89 df"  # mov rdi, rbx
    "f3 6c"  # rep insb
    "eb f4"  # jmp back to the first
)

_HLT_REASON = 5  # KVM_EXIT_HLT


class Latch(Device):
    """A register of 8 bytes, the least that a device in Python can be."""

    name = "latch"
    width = 8

    def __init__(self) -> None:
        self._value = 0

    def read(self, offset: int, size: int) -> int:
        """What was written last."""
        return self._value

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep it."""
        self._value = value


def _rig(stack: ExitStack, bench: Bench, code: bytes) -> Rig:
    """A rig for `code`, in long mode, its pointers set."""
    rig = Rig(stack, code, system=bench.system)
    regs = rig.vcpu.get_regs()
    rig.vcpu.set_regs(replace(regs, rdi=BENCH_MMIO, rbx=BENCH_RESULTS, rdx=BENCH_PORT))
    return rig


def _place(rig: Rig, code: bytes) -> tuple[PortRoutes | MmioRoutes, int]:
    is_mmio = code in (STORE, LOAD)
    routes = rig.machine.routes
    return (routes.mmio, BENCH_MMIO) if is_mmio else (routes.ports, BENCH_PORT)


def _in_c(code: bytes) -> Any:
    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        rig = _rig(stack, bench, code)
        space, address = _place(rig, code)
        space.native(address, "shim_latch", ffi.new("uint64_t *"))
        return rig.exits

    return set_up


def _in_python(code: bytes) -> Any:
    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        rig = _rig(stack, bench, code)
        machine = rig.machine
        if code in (STORE, LOAD):
            machine.mmio.attach(BENCH_MMIO, 8, Latch())
        else:
            machine.ports.attach(BENCH_PORT, 1, Latch())
        return rig.exits

    return set_up


def _string(code: bytes) -> Any:
    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        rig = _rig(stack, bench, code)
        counter = ffi.new("uint64_t *")
        rig.machine.routes.ports.native(BENCH_PORT, "shim_counter", counter)

        def measure(count: int) -> Sample:
            return rig.exits(count, elements=lambda: int(counter[0]))

        return measure

    return set_up


def _halt(stack: ExitStack, bench: Bench) -> Measure:
    """Where nothing can wake a processor KVM leaves HLT to userspace, which enters it again."""
    rig = Rig(stack, HALT, system=bench.system, irqchip="none")
    loop = rig.loop

    def run(exits: int) -> None:
        deadline = time.monotonic_ns() + int(TIMEOUT * 1e9)
        loop.budget = exits
        loop.set_timer(deadline, 0)
        try:
            while (reason := loop.enter()) != BUDGET_SPENT:
                if reason == INTERRUPTED and time.monotonic_ns() >= deadline:
                    raise Unable(f"hangs (stopped after {TIMEOUT:g} s)")
                if reason not in (INTERRUPTED, _HLT_REASON):
                    raise Unable(f"HLT ends with exit reason {reason}")
        finally:
            loop.stop_timer()

    def measure(count: int) -> Sample:
        run(WARM_UP)
        rig.meter.reset()
        loop.measure(rig.meter)
        try:
            run(count + 1)
        finally:
            loop.measure(None)
        return metered(rig.meter)

    return measure


_LOOP = "from KVM_RUN to the next one, by the C loop's TSC"


def _exit(name: str, title: str, what: str, set_up: Any, *, extra: int = 1, needs: str) -> Kind:
    """A kind of this module; its loop has `extra` instructions besides the one measured."""
    return Kind(name, title, f"{what}; {_LOOP}", set_up, False, extra, (needs,))


KINDS = (
    _exit(
        "pio-out-c",
        "OUT, device in C",
        "OUT of a byte to a device in C",
        _in_c(OUT),
        needs="long_mode",
    ),
    _exit(
        "pio-in-c",
        "IN, device in C",
        "IN of a byte from a device in C",
        _in_c(IN),
        needs="long_mode",
    ),
    _exit(
        "pio-out-python",
        "OUT, device in Python",
        "OUT of a byte to a device in Python, behind lock and bus",
        _in_python(OUT),
        needs="long_mode",
    ),
    _exit(
        "pio-in-python",
        "IN, device in Python",
        "IN of a byte from a device in Python, behind lock and bus",
        _in_python(IN),
        needs="long_mode",
    ),
    _exit(
        "rep-outsb",
        "REP OUTSB, per byte",
        "REP OUTSB of 256 bytes to a device in C, by the byte",
        _string(OUTSB),
        extra=0,
        needs="rep_outs",
    ),
    _exit(
        "rep-insb",
        "REP INSB, per byte",
        "REP INSB of 256 bytes from a device in C, by the byte",
        _string(INSB),
        extra=0,
        needs="rep_ins",
    ),
    _exit(
        "mmio-write-c",
        "MMIO write, device in C",
        "MOV of 4 bytes to a device in C",
        _in_c(STORE),
        needs="mmio",
    ),
    _exit(
        "mmio-read-c",
        "MMIO read, device in C",
        "MOV of 4 bytes from a device in C",
        _in_c(LOAD),
        needs="mmio",
    ),
    _exit(
        "mmio-write-python",
        "MMIO write, device in Python",
        "MOV of 4 bytes to a device in Python, behind lock and bus",
        _in_python(STORE),
        needs="mmio",
    ),
    _exit(
        "mmio-read-python",
        "MMIO read, device in Python",
        "MOV of 4 bytes from a device in Python, behind lock and bus",
        _in_python(LOAD),
        needs="mmio",
    ),
    _exit(
        "hlt-exit",
        "HLT, to userspace and back",
        "HLT on a machine without interrupt controllers, to Python, which enters again",
        _halt,
        needs="long_mode",
    ),
)
