"""Guests that do random things to interrupt controllers and timers hurt only themselves.

PYKVM_FUZZ_CONTROLLERS says how many there are of each machine (`make fuzz` asks for many more),
PYKVM_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable

import pytest

from pykvm import GuestCrash, Machine, Mode
from pykvm.devices.sinks import BufferSink
from pykvm.kvm.system import System
from pykvm.layout import ACPI_PM, CMOS, I8042_COMMAND, I8042_DATA, IOAPIC, LOCAL_APIC
from pykvm.memory import Gpa
from tests.support.leaks import nothing_left_behind

GUESTS = int(os.environ.get("PYKVM_FUZZ_CONTROLLERS", "12"))
SEED = int(os.environ.get("PYKVM_FUZZ_SEED", "0")) or random.SystemRandom().getrandbits(32)
DEADLINE = 0.010
OUTPUT_KEPT = 4096
ACTIONS = 100

PORTS: tuple[int, ...] = (
    *(0x20, 0x21, 0xA0, 0xA1),  # PICs
    *(0x4D0, 0x4D1),  # ELCR
    *(0x40, 0x41, 0x42, 0x43, 0x61),  # PIT
    *(CMOS, CMOS + 1, I8042_DATA, I8042_COMMAND),
    *range(ACPI_PM, ACPI_PM + 12),
    *(0x3F8, 0x3F9, 0x3FA, 0x3FC),  # the UART, for its line
)

# Where things are in the guest.
HANDLER, IDT_POINTER, AP_CODE, AP_PAGE, IDT = 0x3000, 0x3100, 0x4000, 4, 0x5000
GATES = 256
CODE_SEGMENT = 0x08
START_OTHERS = bytes.fromhex(
    "c7 05 00 03 e0 fe 00 45 0c 00"  # mov dword ptr [0xfee00300], 0xc4500 (INIT to all others)
    f"c7 05 00 03 e0 fe {AP_PAGE:02x} 46 0c 00"  # the same with 0xc4604 (SIPI)
)
INTERRUPTS_ON = bytes.fromhex(
    "0f 01 1d 00 31 00 00"  # lidt [0x3100]
    "fb"  # sti
)
ACKNOWLEDGE = bytes.fromhex(
    "50"  # push eax
    "b0 20"  # mov al, 0x20
    "e6 a0"  # out 0xa0, al
    "e6 20"  # out 0x20, al
    "c7 05 b0 00 e0 fe 00 00 00 00"  # mov dword ptr [0xfee000b0], 0
    "58"  # pop eax
    "fb"  # sti
    "c2 08 00"  # ret 8
)
"""It returns as IRETD would, but for the flags, which nobody minds: not every host has IRETD."""


def value(source: random.Random, bits: int) -> int:
    """Noise, or noise with few bits."""
    noise = source.getrandbits(bits)
    return noise if source.random() < 0.5 else noise & source.getrandbits(bits) & 0xFFFF


def port_access(source: random.Random, bits: int) -> bytes:
    """IN or OUT of a byte, mostly, for code of 16 or 32 bits."""
    prefix = b"\x66" if bits == 32 else b""
    code = prefix + b"\xba" + source.choice(PORTS).to_bytes(2, "little")  # mov dx, port
    if source.random() < 0.3:
        return code + (b"\xec" if source.random() < 0.5 else b"\xed")  # in al, dx; in eax, dx
    code += b"\xb8" + value(source, bits).to_bytes(bits // 8, "little")  # mov eax, value
    return code + (b"\xee" if source.random() < 0.8 else b"\xef")  # out dx, al; out dx, eax


def memory_write(address: int, number: int) -> bytes:
    """A 32-bit write: mov dword ptr [address], number."""
    return b"\xc7\x05" + address.to_bytes(4, "little") + number.to_bytes(4, "little")


def memory_access(source: random.Random) -> bytes:
    """A register of an IOAPIC, or of a local APIC, read or written."""
    if source.random() < 0.5:
        return memory_write(IOAPIC, source.randrange(0x42)) + memory_write(
            IOAPIC + source.choice((0x10, 0x10, 0x40)), value(source, 32)
        )
    register = LOCAL_APIC + source.randrange(0x40) * 0x10
    if source.random() < 0.3:
        return b"\xa1" + register.to_bytes(4, "little")  # mov eax, [register]
    return memory_write(register, value(source, 32))


def random_loop(source: random.Random, make: Callable[[], bytes], bits: int) -> bytes:
    """Random actions, now and then a HLT, again and again."""
    code = b"".join(make() for _ in range(ACTIONS))
    if source.random() < 0.5:
        code += b"\xf4"  # hlt
    back = -(len(code) + 1 + bits // 8)
    return code + b"\xe9" + back.to_bytes(bits // 8, "little", signed=True)  # jmp to the start


def first_processor(source: random.Random, smp: int) -> bytes:
    """A program in protected mode that is interrupted while it plays with what interrupts it."""

    def action() -> bytes:
        return port_access(source, 32) if source.random() < 0.6 else memory_access(source)

    start = START_OTHERS if smp > 1 else b""
    return start + INTERRUPTS_ON + random_loop(source, action, 32)


def prepare(machine: Machine, source: random.Random, smp: int) -> None:
    """Load a program, a handler for all vectors, and a program for the second processor."""
    machine.load(first_processor(source, smp), mode=Mode.PROTECTED, load_address=0x8000)
    gate = b"".join(
        part.to_bytes(2, "little") for part in (HANDLER & 0xFFFF, CODE_SEGMENT, 0x8E00, 0)
    )
    machine.memory.write(Gpa(HANDLER), ACKNOWLEDGE)
    machine.memory.write(Gpa(IDT), gate * GATES)
    machine.memory.write_uint(Gpa(IDT_POINTER), 2, GATES * 8 - 1)
    machine.memory.write_uint(Gpa(IDT_POINTER + 2), 4, IDT)
    code = random_loop(source, lambda: port_access(source, 16), 16)
    assert len(code) < IDT - AP_CODE
    machine.memory.write(Gpa(AP_CODE), code)
    machine.send(b"some input")


def run_guest(system: System, source: random.Random, irqchip: str, smp: int) -> str:
    """How a guest ended, as one word; anything but a stop or a crash is ours and raises."""
    with Machine(
        "1M",
        serial=BufferSink(limit=OUTPUT_KEPT),
        irqchip=irqchip,
        smp=smp,
        system=system,
    ) as machine:
        prepare(machine, source, smp)
        try:
            reason: str = machine.run(timeout=DEADLINE).reason.value
        except GuestCrash as crash:
            assert str(crash)
            return "crash"
    return reason


@pytest.mark.needs("protected_mode")
@pytest.mark.parametrize(
    ("irqchip", "smp"),
    [("kernel", 1), ("kernel", 2), ("split", 1), ("split", 2), ("user", 1), ("none", 1)],
)
def test_random_controllers_hurt_only_themselves(irqchip: str, smp: int) -> None:
    print(f"PYKVM_FUZZ_SEED={SEED} PYKVM_FUZZ_CONTROLLERS={GUESTS}")
    ends: Counter[str] = Counter()
    with System() as system:
        run_guest(system, random.Random(0), irqchip, smp)
        with nothing_left_behind():
            for number in range(GUESTS):
                source = random.Random(f"{SEED} {number}")
                try:
                    ends[run_guest(system, source, irqchip, smp)] += 1
                except Exception as error:
                    error.add_note(f"guest {number} of seed {SEED}")
                    raise
    print(dict(ends))
    assert sum(ends.values()) == GUESTS
