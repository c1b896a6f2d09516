"""Clients that vanish, crowd, damage packets and talk out of turn: the guest is none the worse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.debugger import Event
from tests.support.rsp import PATIENCE, framed
from tests.support.waiting import eventually
from tests.unit.gdb.rig import Rig, Start, rigs

HALTED = Event("ended", 0, stop=Stop(StopReason.HALTED))


@pytest.fixture
def start() -> Iterator[Start]:
    with rigs() as make:
        yield make


def is_running(rig: Rig) -> bool:
    """The guest was let go on, once more than when this was asked last."""
    return rig.fake.running.get(timeout=PATIENCE)


@pytest.mark.parametrize("rest", [b"", b"$", b"$m0,1", b"$m0,1#", b"$m0,1#c", b"\x03", b"-"])
def test_a_client_that_vanishes_leaves_the_guest_stopped(start: Start, rest: bytes) -> None:
    rig = start()
    with rig.connect() as client:
        assert client.ask(b"Z0,1000,1") == b"OK"
        client.send(rest)
    with rig.connect() as client:
        assert client.ask(b"?") == b"T05thread:1;"
        assert rig.fake.points == []
        assert rig.fake.resumed == []
        assert rig.said == ["gdb: the debugger has gone; the stopped guest waits for the next one"]


@pytest.mark.parametrize("rest", [b"", b"$m0"])
def test_a_client_that_vanishes_while_the_guest_runs_leaves_it_running(
    start: Start, rest: bytes
) -> None:
    rig = start()
    with rig.connect() as client:
        assert client.ask(b"Z0,1000,1") == b"OK"
        client.send(framed(b"vCont;s:1"))
        assert is_running(rig)
        client.send(rest)
    assert is_running(rig)
    assert rig.fake.points == []
    assert rig.fake.resumed[-1] == (frozenset(), None)
    rig.fake.events.put(HALTED)
    assert rig.end() == HALTED.stop


def test_a_client_that_says_nothing_is_not_noticed(start: Start) -> None:
    rig = start(wait=False)
    assert is_running(rig)
    rig.connect().socket.close()
    with rig.connect() as client:
        assert client.ask(b"?") == b"T05thread:1;"
    assert rig.said[1:] == []


def test_a_second_client_is_told_so_and_the_first_not_disturbed(start: Start) -> None:
    rig = start()
    with rig.connect() as first:
        assert first.ask(b"M1000,1:42") == b"OK"
        for _ in range(3):
            with rig.connect() as second:
                told = second.ask(b"?")
                assert told == b"E.pykvm: another debugger is attached to this guest"
                assert second.is_closed()
        assert first.ask(b"m1000,1") == b"42"
        first.send(framed(b"c"))
        assert is_running(rig)
        with rig.connect() as second:
            assert second.ask(b"?").startswith(b"E.")
        rig.fake.events.put(Event("step", 0))
        assert first.reply() == b"T05thread:1;"


def test_many_that_may_not_come_in_take_no_room(start: Start) -> None:
    rig = start()
    with rig.connect() as first:
        assert first.ask(b"?") == b"T05thread:1;"
        silent = [rig.connect() for _ in range(50)]
        assert silent[0].is_closed()
        assert silent[-1].ask(b"?").startswith(b"E.")
        assert first.ask(b"?") == b"T05thread:1;"
        for one in silent:
            one.socket.close()


def test_a_client_comes_right_behind_another(start: Start) -> None:
    rig = start()
    for _ in range(20):
        with rig.connect() as client:
            assert client.ask(b"qAttached") == b"1"


def test_a_damaged_packet_is_asked_for_again(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(b"$M1000,1:42#00")
        assert client.byte() == b"-"
        assert not any(rig.fake.memory)
        assert client.ask(b"M1000,1:42") == b"OK"


def test_without_acknowledgements_it_is_answered_by_an_error(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        assert client.ask(b"QStartNoAckMode") == b"OK"
        client.send(b"$M1000,1:42#00")
        assert [client.byte() for _ in range(7)] == [bytes((b,)) for b in framed(b"E74")]
        assert not any(rig.fake.memory)


def test_a_reply_is_repeated_when_that_is_asked_for(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(b"-")
        assert client.ask(b"qAttached") == b"1"
        client.send(b"-")
        assert client.reply() == b"1"


def test_packets_sent_at_once_are_answered_in_order(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        count = 2000
        client.send(b"".join(framed(b"T%x" % (i % 2 + 1)) for i in range(count)))
        assert [client.reply() for _ in range(count)] == [b"OK", b"E22"] * (count // 2)


def test_what_comes_while_the_guest_runs_is_answered_when_it_has_stopped(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.send(framed(b"c"))
        assert is_running(rig)
        client.send(framed(b"qAttached") * 5000 + b"\x03")
        rig.fake.events.put(Event("step", 0))
        # whichever of the two the server sees first
        assert client.reply() in (b"T05thread:1;", b"T02thread:1;")
        assert {client.reply() for _ in range(5000)} == {b"1"}


def test_the_listener_outlives_clients_and_nothing_is_left(start: Start) -> None:
    rig = start()
    with rig.connect() as client:
        client.ask(b"?")
        rig.stop(HALTED.stop or Stop(StopReason.STOPPED))
        assert client.reply() == b"W00"
        assert client.is_closed()
    rig.end()
    assert eventually(lambda: not rig.thread.is_alive())
