"""The exit recorder's callbacks, where none is lost, and their time."""

from __future__ import annotations

from pykvm._shim import lib
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


def test_what_is_done_aside_is_told_apart(bare: Bare) -> None:
    recorder = Recorder(100)
    bare.loop.record(recorder)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    with recorder.aside():
        start = lib.shim_tsc()
        while lib.shim_tsc() - start < 1_000_000:
            pass
    bare.enter()
    first, second = (r for r in recorder.take() if r.reason == lib.KVM_EXIT_IO)
    assert first.paused == 0
    assert 1_000_000 <= second.paused <= second.entered - first.left
