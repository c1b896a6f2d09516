"""What a trace of an emulated guest tells besides what tests/kvm hold for both."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pykvm import GuestCrash, Machine, Mode, StopReason
from pykvm._shim import lib
from pykvm.devices.sinks import NullSink
from pykvm.kvm.decode import exit_name
from pykvm.memory import Gpa
from pykvm.trace.event import Event
from pykvm.trace.selection import Selection
from pykvm.trace.tracer import Tracer
from tests.emu.test_debugging import HANDLER, TICKING, TIMER_VECTOR
from tests.support.tracing import Keeper, bundled

pytestmark = pytest.mark.emulated

LOAD = 0x1000
STEP = lib.KVM_EXIT_DEBUG


def events_of(
    code: bytes, *, steps: bool = False, mode: str = "real", limit: int | None = None
) -> list[Event]:
    """Of a guest that ends by a crash, by itself or at the limit."""
    keeper = Keeper()
    with Machine("1M", irqchip="none", accel="emu", strict=True) as machine:
        machine.load(code, mode=Mode(mode), load_address=LOAD)
        tracer = Tracer(
            machine,
            keeper,
            NullSink(),
            selection=Selection(),
            steps=steps,
            limit=limit,
            on_limit=machine.stop,
        )
        with suppress(GuestCrash):
            machine.run(timeout=10)
        tracer.finish()
    return keeper.kept


def told(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(exit_name(e.record.reason), e.place and e.place.instruction.text) for e in events]


def test_no_event_has_times() -> None:
    events = events_of(bytes.fromhex("e6 e9 f4"))  # out 0xe9, al; hlt
    assert told(events) == [("IO", "out 0xe9, al"), ("HLT", "hlt")]
    assert not [event for event in events if event.times is not None]


def test_a_triple_fault_is_told_with_the_instruction_that_failed() -> None:
    events = events_of(bytes.fromhex("90 0f 0b"), mode="protected")  # nop; ud2
    assert told(events) == [("SHUTDOWN", "ud2")]


def test_what_cannot_be_fetched_is_no_instruction() -> None:
    code = bytes.fromhex(
        "c7 05 00 20 00 00 83 00 00 00"  # mov dword [0x2000], a page of 4 MiB at 0
        "b8 00 20 00 00 0f 22 d8"  # mov eax, 0x2000; mov cr3, eax
        "b8 10 00 00 00 0f 22 e0"  # mov eax, CR4.PSE; mov cr4, eax
        "0f 20 c0 0d 00 00 00 80 0f 22 c0"  # mov eax, cr0; or eax, CR0.PG; mov cr0, eax
        "b8 00 00 80 00 ff e0"  # mov eax, 0x800000; jmp eax
    )
    assert told(events_of(code, mode="protected")) == [("SHUTDOWN", None)]


def test_a_read_that_nobody_answers_is_told_before_the_crash() -> None:
    (event,) = events_of(bytes.fromhex("e4 99 f4"))  # in al, 0x99; hlt
    assert told([event]) == [("IO", "in al, 0x99")]
    assert (event.record.address, event.record.value) == (0x99, 0xFF)


def test_each_element_of_a_string_instruction_is_an_exit_and_a_step() -> None:
    code = bytes.fromhex("be 00 10 b9 02 00 ba e9 00 f3 6e f4")  # rep outsb twice, from 0x1000
    events = [
        e for e in events_of(code, steps=True) if e.place and "rep" in e.place.instruction.text
    ]
    writes = [event.record.value for event in events if event.record.reason != STEP]
    counts = [e.changes["rcx"] for e in events if e.changes and "rcx" in e.changes]
    assert (writes, counts) == ([0xBE, 0x00], [1, 0])


def test_an_instruction_that_fails_is_a_step() -> None:
    (event,) = events_of(bytes.fromhex("0f 0b"), steps=True, limit=1)
    assert told([event]) == [("DEBUG", "ud2")]
    assert event.changes == {"rsp": 0x1000 - 6}


def test_hlt_is_an_exit_and_a_step() -> None:
    assert told(events_of(b"\xf4", steps=True)) == [("HLT", "hlt"), ("DEBUG", "hlt")]


def test_interrupts_come_between_steps() -> None:
    """Also where the guest never waits for one: a trace holds none back."""
    keeper = Keeper()
    with Machine("64K", irqchip="user", accel="emu") as machine:
        machine.load(TICKING + b"\x90\xeb\xfd", load_address=LOAD)  # nop; jmp to it
        machine.memory.write(Gpa(4 * TIMER_VECTOR), HANDLER.to_bytes(4, "little"))
        machine.memory.write(Gpa(HANDLER), bytes.fromhex("e6 f4"))  # out 0xf4, al
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection(), steps=True)
        assert machine.run(timeout=60).reason is StopReason.DEBUG_EXIT
        tracer.finish()
    assert told(keeper.kept)[-2:] == [("IO", "out 0xf4, al"), ("DEBUG", "out 0xf4, al")]


def test_an_interrupt_is_no_step() -> None:
    """Of a handler the first one is that of its first instruction."""
    keeper = Keeper()
    with Machine(irqchip="user", accel="emu") as machine:
        machine.load(bundled("pit_ticks").path)
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection(), steps=True)
        machine.run(timeout=60)
        tracer.finish()
        assert machine.output.endswith(b"PASS\n")
    texts = [text for reason, text in told(keeper.kept) if reason == "DEBUG"]
    behind = {texts[at + 1] for at, text in enumerate(texts[:-1]) if text == "hlt"}
    assert behind == {"push ax"}
