"""The exit recorder's callbacks: where none is lost, and where each step is looked at."""

from __future__ import annotations

from pykvm._shim import lib
from pykvm.kvm import DebugControl, SyncFlag, SyncRegs
from pykvm.kvm.recorder import INTR, Record, Recorder
from pykvm.kvm.runloop import BUDGET_SPENT
from tests.kvm.test_runloop import OUT_FOREVER, OUT_THEN_HALT
from tests.support.bare import Bare


def test_nothing_is_lost_where_somebody_takes_them(bare: Bare) -> None:
    taken: list[Record] = []
    recorder = Recorder(3, on_records=taken.extend)
    bare.routes.ports.drop_writes(0, 1)
    bare.loop.record(recorder)
    bare.load(OUT_FOREVER)
    bare.loop.budget = 100
    assert bare.enter() == BUDGET_SPENT
    recorder.flush()
    assert len([r for r in taken if r.reason == lib.KVM_EXIT_IO]) == 100
    assert recorder.lost == 0
    assert [r.entered for r in taken] == sorted(r.entered for r in taken)


def test_the_time_of_callbacks_is_told_apart(bare: Bare) -> None:
    spent = []

    def slowly(records: list[Record]) -> None:
        start = lib.shim_tsc()
        while lib.shim_tsc() - start < 1_000_000:
            pass
        spent.append(records[-1])

    taken = Recorder(4, on_records=slowly)
    bare.routes.ports.drop_writes(0, 1)
    bare.loop.record(taken)
    bare.load(OUT_FOREVER)
    bare.loop.budget = 11
    bare.enter()
    rest = taken.take()
    assert rest[0].paused >= 1_000_000
    assert {r.paused for r in rest[1:] if r.reason != INTR} <= {0}
    assert rest[0].entered - spent[-1].left >= rest[0].paused


def test_a_callback_may_end_the_recording(bare: Bare) -> None:
    taken: list[Record] = []

    def once(records: list[Record]) -> None:
        taken.extend(records)
        bare.loop.record(None)

    bare.routes.ports.drop_writes(0, 1)
    bare.loop.record(Recorder(3, on_records=once))
    bare.load(OUT_FOREVER)
    bare.loop.budget = 50
    assert bare.enter() == BUDGET_SPENT
    assert len(taken) <= 3


def test_steps_go_to_whoever_wants_them(bare: Bare) -> None:
    at: list[int] = []
    recorder = Recorder(100)
    sync = SyncRegs(bare.cpu.vcpu, SyncFlag(0))

    def look() -> None:
        at.append(sync.get_regs().rip)

    recorder.on_debug = look
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    start = bare.cpu.vcpu.get_regs().rip
    bare.cpu.vcpu.set_guest_debug(int(DebugControl.ENABLE | DebugControl.SINGLESTEP))
    assert bare.enter() == lib.KVM_EXIT_IO
    assert [rip - start for rip in at][:2] == [3, 5]
    steps = [r for r in recorder.take() if r.reason == lib.KVM_EXIT_DEBUG]
    assert [r.address - start for r in steps][:2] == [3, 5]


def test_a_step_may_end_the_entry(bare: Bare) -> None:
    recorder = Recorder(100)
    recorder.on_debug = lambda: lib.KVM_EXIT_HLT
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    bare.cpu.vcpu.set_guest_debug(int(DebugControl.ENABLE | DebugControl.SINGLESTEP))
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert [r.reason for r in recorder.take()] == [lib.KVM_EXIT_DEBUG]
