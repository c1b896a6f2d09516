"""Random bytes as guests: whatever they do, they hurt only themselves.

PYKVM_FUZZ_GUESTS says how many (`make fuzz` asks for many more), PYKVM_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from pykvm import GuestCrash, Machine, Mode
from pykvm.devices.sinks import BufferSink
from pykvm.kvm import probes
from pykvm.kvm.system import System
from pykvm.layout import MIN_RAM
from tests.conftest import ON_SVM
from tests.support.leaks import nothing_left_behind

USUAL = 300 if ON_SVM else 1000  # a guest takes many times as long there
GUESTS = int(os.environ.get("PYKVM_FUZZ_GUESTS", USUAL))
SEED = int(os.environ.get("PYKVM_FUZZ_SEED", "0")) or random.SystemRandom().getrandbits(32)
DEADLINE = 0.010
OUTPUT_KEPT = 4096

IO_INSTRUCTIONS = (
    b"\xe4\x00",  # in al, 0x00
    b"\xe5\x00",  # in eax, 0x00
    b"\xe6\x00",  # out 0x00, al
    b"\xe7\x00",  # out 0x00, eax
    b"\xec",  # in al, dx
    b"\xed",  # in eax, dx
    b"\xee",  # out dx, al
    b"\xef",  # out dx, eax
    b"\xf3\x6c",  # rep insb
    b"\xf3\x6d",  # rep insd
    b"\xf3\x6e",  # rep outsb
    b"\xf3\x6f",  # rep outsd
    b"\xba\x00\x00",  # mov dx, 0
    b"\xb9\x00\x00",  # mov cx, 0
)
"""Pure noise hardly ever reaches a device; these, their immediates made random, often do."""

PORTS = (0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xE9, 0xF4, 0x3F8, 0x3F9, 0x3FB, 0x3FD, 0xCF8, 0xCFC)


def random_guest(source: random.Random) -> bytes:
    """Noise, or noise rich in port I/O."""
    length = source.randrange(1, 512)
    if source.random() < 0.5:
        return source.randbytes(length)
    code = bytearray()
    while len(code) < length:
        if source.random() < 0.5:
            instruction = bytearray(source.choice(IO_INSTRUCTIONS))
            if len(instruction) == 3:
                instruction[1:] = source.choice(PORTS).to_bytes(2, "little")
            elif instruction[0] in (0xE4, 0xE5, 0xE6, 0xE7):
                instruction[1] = source.choice(PORTS) & 0xFF
            code += instruction
        else:
            code += source.randbytes(source.randrange(1, 4))
    return bytes(code)


def writes_debug_registers(code: bytes) -> bool:
    """Whether MOV to a debug register is in there; with or without prefixes, aligned or not."""
    return b"\x0f\x23" in code


def run_guest(
    system: System, code: bytes, mode: Mode, *, strict: bool, irqchip: str = "none"
) -> str:
    """How a guest ended, as one word; anything but a stop or a crash is ours and raises."""
    with Machine(
        MIN_RAM,
        serial=BufferSink(limit=OUTPUT_KEPT),
        debug=BufferSink(limit=OUTPUT_KEPT),
        strict=strict,
        irqchip=irqchip,
        system=system,
    ) as machine:
        machine.send(b"some input")
        machine.load(code, mode=mode, load_address=0x1000)
        try:
            return machine.run(timeout=DEADLINE).reason.value
        except GuestCrash as crash:
            assert crash.cpu is not None
            assert str(crash)
            return "crash"


def test_random_guests_hurt_only_themselves() -> None:
    print(f"PYKVM_FUZZ_SEED={SEED} PYKVM_FUZZ_GUESTS={GUESTS}")
    source = random.Random(SEED)
    ends: Counter[str] = Counter()
    with System() as system:
        # where that fails, what such a guest sets may stay in force for those that come after it
        debuggable = probes.result(system, "guest_breakpoint").ok
        run_guest(system, b"\xf4", Mode.REAL, strict=False)
        with nothing_left_behind():
            for number in range(GUESTS):
                code = random_guest(source)
                if writes_debug_registers(code) and not debuggable:
                    ends["not run"] += 1
                    continue
                mode = source.choice(list(Mode))
                try:
                    # controllers cost the kernel some 20 ms, hence not each time
                    irqchip = "kernel" if number % 50 == 0 else "none"
                    ends[
                        run_guest(system, code, mode, strict=number % 4 == 0, irqchip=irqchip)
                    ] += 1
                except Exception as error:
                    error.add_note(f"guest {number} of seed {SEED}: {mode} {code.hex()}")
                    raise
    print(dict(ends))
    assert sum(ends.values()) == GUESTS
