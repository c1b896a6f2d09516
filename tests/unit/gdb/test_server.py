"""The server: clients come, stop the guest, let it go on, and leave in all the ways there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.debugger import Event, Point
from pykvm.errors import GuestCrash
from tests.support.rsp import PATIENCE, framed
from tests.unit.gdb.rig import Rig, Start, rigs

HALTED = Event("ended", 0, stop=Stop(StopReason.HALTED))
EXIT_5 = Event("ended", 0, stop=Stop(StopReason.DEBUG_EXIT, value=5))
RESET = Event("ended", 0, stop=Stop(StopReason.RESET))
CRASH = GuestCrash("a triple fault", None, None)


@pytest.fixture
def start() -> Iterator[Start]:
    with rigs() as make:
        yield make


def is_running(rig: Rig) -> bool:
    """The guest was let go on, once more than when this was asked last."""
    return rig.fake.running.get(timeout=PATIENCE)


# ---- stops and ends


def test_a_guest_that_waits_runs_when_it_is_told_to(start: Start) -> None:
    rig = start(wait=True)
    with rig.connect() as client:
        assert client.ask(b"?") == b"T05thread:1;"
        assert rig.fake.resumed == []
        client.send(framed(b"vCont;s:1"))
        rig.fake.events.put(Event("step", 0))
        assert client.reply() == b"T05thread:1;"
        assert rig.fake.resumed == [(frozenset({0}), None)], "it is the only one"
        client.send(framed(b"c"))
        rig.fake.events.put(EXIT_5)
        assert client.reply() == b"W0b"
    assert rig.end() == Stop(StopReason.DEBUG_EXIT, value=5)


def test_a_guest_that_runs_is_stopped_by_the_first_packet(start: Start) -> None:
    rig = start(wait=False)
    assert is_running(rig)
    with rig.connect() as client:
        assert client.ask(b"?") == b"T05thread:1;"
        assert len(rig.fake.resumed) == 1
        assert client.ask(b"D") == b"OK"
    assert is_running(rig)


def test_ctrl_c_stops_it(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c"))
        assert is_running(rig)
        client.send(b"\x03")
        assert client.reply() == b"T02thread:1;"


def test_ctrl_c_right_behind_the_packet_counts(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c") + b"\x03")
        assert client.reply() == b"T02thread:1;"


def test_ctrl_c_while_the_guest_is_stopped_is_nothing(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(b"\x03")
        assert client.ask(b"?") == b"T05thread:1;"
        client.send(framed(b"c"))
        rig.fake.events.put(HALTED)
        assert client.reply() == b"W00"


def test_an_interrupt_that_comes_late_does_not_stop_the_next_run(start: Start) -> None:
    """The guest had stopped by itself when Ctrl-C was sent."""
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c"))
        assert is_running(rig)
        rig.fake.events.put(Event("step", 0))
        rig.fake.events.put(Event("interrupted", 0))
        assert client.reply() == b"T05thread:1;"
        client.send(framed(b"c"))
        assert is_running(rig)
        assert is_running(rig), "the interrupt was passed over"
        rig.fake.events.put(HALTED)
        assert client.reply() == b"W00"


def test_a_crash_is_shown_before_it_is_the_end(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c"))
        rig.fake.events.put(Event("crash", 0, crash=CRASH))
        words = client.reply()
        assert bytes.fromhex(words[1:].decode()) == b"the guest crashed: a triple fault\n"
        assert client.reply() == b"T0bthread:1;"
        assert client.ask(b"m0,1") == b"00"
        assert client.ask(b"c") == b"X06"
    assert rig.end() is CRASH
    assert len(rig.fake.resumed) == 1


def test_a_crash_that_nobody_watches_is_the_end(start: Start) -> None:
    rig = start(wait=False)
    rig.fake.events.put(Event("crash", 0, crash=CRASH))
    assert rig.end() is CRASH


@pytest.mark.parametrize("leave", [framed(b"D"), b""])
def test_leaving_a_crashed_guest_is_its_end(start: Start, leave: bytes) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c"))
        rig.fake.events.put(Event("crash", 0, crash=CRASH))
        client.reply()
        client.reply()
        client.send(leave)
    assert rig.end() is CRASH


@pytest.mark.parametrize(("packet", "reply"), [(b"k", b""), (b"vKill;1", b"OK")])
def test_a_kill_ends_the_run(start: Start, packet: bytes, reply: bytes) -> None:
    rig = start()
    with rig.connect() as client:
        if reply:
            assert client.ask(packet) == reply
        else:
            client.send(framed(packet))
            assert client.byte() == b"+"
        assert client.is_closed()
    assert rig.end() == Stop(StopReason.TERMINATED, detail="its debugger")


def test_a_stop_from_outside_ends_a_stopped_guest(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.ask(b"?")
        stop = Stop(StopReason.INTERRUPTED, detail="SIGINT")
        rig.stop(stop)
        assert client.reply() == b"W82"
        assert rig.end() == stop


def test_the_deadline_ends_a_stopped_guest(start: Start) -> None:
    rig = start(timeout=0.001)
    assert rig.end() == Stop(StopReason.TIMEOUT)


def test_a_machine_that_follows_keeps_debugger_and_points(start: Start) -> None:
    rig = start(machines=2)
    with rig.connect() as client:
        assert client.ask(b"Z0,1234,1") == b"OK"
        client.send(framed(b"c"))
        rig.fake.events.put(RESET)
        second = rig.fakes[1]
        assert second.running.get(timeout=PATIENCE)
        assert rig.fake.closed
        assert second.points == [Point("software", 0x1234)]
        second.machine.cpus[0].vcpu.regs.rax = 7
        client.send(b"\x03")
        assert client.reply() == b"T02thread:1;"
        assert client.ask(b"p0") == b"07000000"
        assert client.ask(b"z0,1234,1") == b"OK"
        assert second.points == []


def test_a_step_into_a_reset_ends_at_the_new_machine_s_start(start: Start) -> None:
    rig = start(machines=2)
    with rig.connect() as client:
        client.send(framed(b"s"))
        rig.fake.events.put(RESET)
        assert client.reply() == b"T05thread:1;"
        assert rig.fakes[1].resumed == []


def test_a_breakpoint_at_the_first_instruction_is_met_after_a_reset(start: Start) -> None:
    rig = start(machines=2)
    with rig.connect() as client:
        client.ask(b"qSupported:hwbreak+")
        assert client.ask(b"Z1,1000,1") == b"OK"
        client.send(framed(b"c"))
        rig.fake.events.put(RESET)
        assert client.reply() == b"T05hwbreak:;thread:1;"
        assert rig.fakes[1].resumed == []
