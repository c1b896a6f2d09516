"""The exit recorder: each field, what is lost, and what it costs nobody."""

from __future__ import annotations

import pytest

from pykvm._shim import ffi, lib
from pykvm.kvm import SyncFlag, SyncRegs
from pykvm.kvm.recorder import HANDLERS, INTR, Record, Recorder, merge
from pykvm.kvm.runloop import BUDGET_SPENT
from pykvm.machine import Machine
from tests.kvm.test_runloop import (
    IN_THEN_HALT,
    MMIO,
    MMIO_OUT_MMIO_HALT,
    OUT_FOREVER,
    OUT_THEN_HALT,
    PORT,
    REP_INS,
    SPIN,
)
from tests.support.bare import Bare
from tests.support.processors import HALT, OUT_30, START_OTHERS, load

MMIO_READ = bytes.fromhex(
    "b8 00 a0"  # mov ax, 0xa000
    "8e d8"  # mov ds, ax
    "a1 04 00"  # mov ax, [4]
    "f4"  # hlt
)
WRMSR = bytes.fromhex(
    "66 b9 34 12 00 c0"  # mov ecx, 0xc0001234
    "0f 32"  # rdmsr
    "f4"  # hlt
)


def exits(recorder: Recorder) -> list[Record]:
    """All records but those of ticks."""
    return [record for record in recorder.take() if record.reason != INTR]


def handlers(records: list[Record]) -> list[str]:
    return [HANDLERS[record.handled] for record in records]


def test_writes_are_recorded_whoever_handles_them(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    bare.enter()
    bare.routes.ports.post_writes(PORT, 1, on=True)
    assert bare.enter() == lib.KVM_EXIT_HLT
    first, second, last = exits(recorder)
    assert (first.reason, first.address, first.size, first.count) == (lib.KVM_EXIT_IO, PORT, 1, 1)
    assert (first.is_write, first.value, second.value) == (True, ord("A"), ord("B"))
    assert handlers([first, second, last]) == ["Python", "posted", "Python"]
    assert (last.reason, last.address, last.size, last.count) == (lib.KVM_EXIT_HLT, 0, 0, 0)
    assert {record.vcpu for record in (first, second, last)} == {0}


def test_times_follow_each_other(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    before = lib.shim_tsc()
    while bare.enter() != lib.KVM_EXIT_HLT:
        pass
    after = lib.shim_tsc()
    times = [tick for record in recorder.take() for tick in (record.entered, record.left)]
    assert [before, *times, after] == sorted([before, *times, after])
    assert len(times) >= 6


def test_a_read_shows_what_python_answered(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    ffi.buffer(bare.loop.exit.data, 2)[:] = b"\xef\xbe"
    assert bare.enter() == lib.KVM_EXIT_HLT
    read = exits(recorder)[0]
    assert (read.is_write, read.value, read.size) == (False, 0xBEEF, 2)


def test_a_read_shows_its_answer_before_the_guest_goes_on(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(IN_THEN_HALT)
    bare.enter()
    ffi.buffer(bare.loop.exit.data, 2)[:] = b"\xef\xbe"
    assert exits(recorder)[0].value == 0xBEEF


def test_a_read_shows_what_c_answered(bare: Bare) -> None:
    bare.routes.ports.answer_reads(PORT, 2, 0xCAFE)
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    read = exits(recorder)[0]
    assert (read.value, HANDLERS[read.handled]) == (0xCAFE, "constant")


def test_a_native_device_is_told_apart(bare: Bare) -> None:
    counter = ffi.new("uint64_t *", 41)
    assert bare.routes.ports.native(PORT, "shim_counter", counter)
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    read = exits(recorder)[0]
    assert (read.value, HANDLERS[read.handled]) == (42, "native")


def test_mmio_has_its_guest_physical_address(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(MMIO_OUT_MMIO_HALT)
    while bare.enter() != lib.KVM_EXIT_HLT:
        pass
    records = exits(recorder)
    assert [r.reason for r in records] == [
        lib.KVM_EXIT_MMIO,
        lib.KVM_EXIT_IO,
        lib.KVM_EXIT_MMIO,
        lib.KVM_EXIT_HLT,
    ]
    assert (records[0].address, records[0].size, records[0].count) == (MMIO, 1, 1)
    assert records[0].is_write


def test_an_mmio_read_shows_its_answer(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(MMIO_READ)
    assert bare.enter() == lib.KVM_EXIT_MMIO
    ffi.buffer(bare.loop.exit.data, 2)[:] = b"\x34\x12"
    assert bare.enter() == lib.KVM_EXIT_HLT
    read = exits(recorder)[0]
    assert (read.is_write, read.value, read.address) == (False, 0x1234, MMIO)


def test_string_io_shows_its_first_element(bare: Bare) -> None:
    bare.routes.ports.answer_reads(PORT, 1, 0x5A)
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(REP_INS)
    assert bare.enter() == lib.KVM_EXIT_HLT
    reads = exits(recorder)[:-1]
    assert sum(read.count for read in reads) == 40
    assert {(read.value, read.size) for read in reads} == {(0x5A, 1)}


def test_rip_is_at_the_instruction_or_behind_it(bare: Bare) -> None:
    recorder = Recorder(100, segments=True)
    bare.loop.record(recorder)
    if not recorder.has_rip:
        pytest.skip("the host shares no registers in the run page")
    bare.load(OUT_THEN_HALT)
    while bare.enter() != lib.KVM_EXIT_HLT:
        pass
    first, second, halt = exits(recorder)
    start = bare.cpu.vcpu.get_regs().rip - len(OUT_THEN_HALT)
    assert first.rip - start in (5, 6)
    assert second.rip - start in (7, 8)
    assert halt.rip - start == len(OUT_THEN_HALT)
    assert {(r.cs_base, r.code_width) for r in (first, second, halt)} == {(0, 16)}


def test_segments_are_recorded_on_demand_only(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    bare.enter()
    assert exits(recorder)[0].code_width == 0


def test_registers_that_others_share_stay_shared(bare: Bare) -> None:
    sync = SyncRegs(bare.cpu.vcpu, SyncFlag.EVENTS)
    bare.loop.record(Recorder(1, segments=True))
    assert sync.valid & SyncFlag.EVENTS
    bare.loop.record(None)
    assert sync.valid == SyncFlag.EVENTS


def test_msr_accesses_are_recorded_with_their_answers() -> None:
    with Machine("64K", irqchip="none") as machine:
        recorder = Recorder(100)
        machine.cpus[0].loop.record(recorder)
        machine.load(WRMSR)
        machine.msrs.answer(0xC0001234, read=0x1122334455667788)
        machine.run(timeout=5)
        reads = [r for r in recorder.take() if r.reason == lib.KVM_EXIT_X86_RDMSR]
    assert [(r.address, r.value, r.size) for r in reads] == [(0xC0001234, 0x1122334455667788, 8)]


def test_the_oldest_are_lost_and_counted(bare: Bare) -> None:
    recorder = Recorder(7)
    bare.routes.ports.drop_writes(0, 1)
    bare.loop.record(recorder)
    bare.load(OUT_FOREVER)
    bare.loop.budget = 20
    assert bare.enter() == BUDGET_SPENT
    every = recorder.take()
    assert len(every) == 7
    assert recorder.lost >= 13
    assert [r.left for r in every] == sorted(r.left for r in every)
    bare.loop.budget = 3
    bare.enter()
    lost, more = recorder.lost, recorder.take()
    assert len(more) >= 3
    assert recorder.lost == lost
    assert more[0].entered > every[-1].left


def test_ticks_are_recorded_so_that_time_in_the_guest_is(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(SPIN)
    bare.machine.run(timeout=0.03)
    ticks = recorder.take()
    assert {r.reason for r in ticks} == {INTR}


def test_a_recorder_is_for_one_vcpu(bare: Bare) -> None:
    recorder = Recorder(10)
    bare.loop.record(recorder)
    with Machine("64K") as other, pytest.raises(ValueError, match="at work"):
        other.cpus[0].loop.record(recorder)
    bare.loop.record(None)
    assert bare.loop.recorder is None


def test_a_closed_machine_leaves_its_records() -> None:
    recorder = Recorder(10)
    with Machine("64K", irqchip="none") as machine:
        machine.cpus[0].loop.record(recorder)
        machine.load(IN_THEN_HALT)
        machine.cpus[0].loop.enter()
    assert [r.reason for r in recorder.take()] == [lib.KVM_EXIT_IO]


@pytest.mark.needs("msi")  # whose guest turns on an x2APIC
def test_each_vcpu_has_its_ring() -> None:
    with Machine("1M", smp=2) as machine:
        recorders = [Recorder(1000), Recorder(1000)]
        for cpu, recorder in zip(machine.cpus, recorders, strict=True):
            cpu.loop.record(recorder)
        load(machine, START_OTHERS + OUT_30 + HALT, OUT_30 + HALT)
        machine.run(timeout=10)
        first, second = (recorder.take() for recorder in recorders)
    assert {r.vcpu for r in first} == {0}
    assert {r.vcpu for r in second} == {1}
    both = merge(first, second)
    assert len(both) == len(first) + len(second)
    assert [r.left for r in both] == sorted(r.left for r in both)
