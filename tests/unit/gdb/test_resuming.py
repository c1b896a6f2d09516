"""How the guest goes on, why it stopped, and how clients leave."""

from __future__ import annotations

import pytest

from pykvm.debug.debugger import Event, Point
from pykvm.errors import GuestCrash
from pykvm.gdb.answers import Answer, Leave
from pykvm.gdb.resumes import Resume
from pykvm.gdb.session import Session
from tests.unit.gdb.fakes import FakeDebugger, only_reply, session_of


@pytest.fixture
def fake() -> FakeDebugger:
    return FakeDebugger(processors=3)


@pytest.fixture
def session(fake: FakeDebugger) -> Session:
    return session_of(fake)


@pytest.mark.parametrize(
    ("packet", "resume"),
    [
        (b"c", Resume()),
        (b"C05", Resume()),
        (b"s", Resume(frozenset({0}))),
        (b"S05", Resume(frozenset({0}))),
        (b"vCont;c", Resume()),
        (b"vCont;c:-1", Resume()),
        (b"vCont;s:2;c", Resume(frozenset({1}))),
        (b"vCont;s:2", Resume(frozenset({1}), frozenset({1}))),
        (b"vCont;C05:1;s:3", Resume(frozenset({2}), frozenset({0, 2}))),
        (b"vCont;c:1;s:1;c:2", Resume(frozenset(), frozenset({0, 1}))),
        (b"vCont;c:1;c:2;c:3", Resume()),
        (b"vCont;s", Resume(frozenset({0, 1, 2}))),
    ],
)
def test_how_processors_go_on(session: Session, packet: bytes, resume: Resume) -> None:
    assert session.handle(packet) == Answer((), resume)


@pytest.mark.parametrize(
    "packet",
    [
        *[b"vCont;", b"vCont;x", b"vCont;c:4", b"vCont;C", b"vCont;c05", b"vCont;t", b"vCont;;"],
        *[b"vCont;cs", b"C", b"Cxx", b"S", b"cxx", b"c10000000000000000", b"c100000000"],
    ],
)
def test_malformed_resumes_do_not_resume(session: Session, packet: bytes) -> None:
    assert only_reply(session, packet) == b"E22"


def test_the_thread_of_hc_alone_goes_on(session: Session) -> None:
    session.handle(b"Hc2")
    assert session.handle(b"c") == Answer((), Resume(frozenset(), frozenset({1})))
    assert session.handle(b"s") == Answer((), Resume(frozenset({1}), frozenset({1})))


def test_where_to_go_on_can_be_told(session: Session, fake: FakeDebugger) -> None:
    session.handle(b"c2000")
    assert fake.machine.cpus[0].vcpu.regs.rip == 0x2000
    session.handle(b"S05;3000")
    assert fake.machine.cpus[0].vcpu.regs.rip == 0x3000


@pytest.mark.parametrize(("packet", "leave"), [(b"D", Leave.DETACH), (b"D;1", Leave.DETACH)])
def test_detaching(session: Session, packet: bytes, leave: Leave) -> None:
    assert session.handle(packet) == Answer((b"OK",), leave)


def test_killing(session: Session) -> None:
    assert session.handle(b"k") == Answer((), Leave.KILL)
    assert session.handle(b"vKill;1") == Answer((b"OK",), Leave.KILL)
    assert only_reply(session, b"vCont?") == b"vCont;c;C;s;S"


SWBREAK = Event("breakpoint", 1, Point("software", 0x1000))
CRASH = GuestCrash("a triple fault", None, None)


@pytest.mark.parametrize(
    ("event", "reply"),
    [
        (Event("step", 2), b"T05thread:3;"),
        (SWBREAK, b"T05swbreak:;thread:2;"),
        (Event("breakpoint", 0, Point("hardware", 0x1000)), b"T05hwbreak:;thread:1;"),
        (Event("watchpoint", 0, Point("write", 0x1F00, 4)), b"T05watch:1f00;thread:1;"),
        (Event("watchpoint", 0, Point("read", 0x1F00, 4)), b"T05rwatch:1f00;thread:1;"),
        (Event("watchpoint", 0, Point("access", 0x1F00, 4)), b"T05awatch:1f00;thread:1;"),
        (Event("interrupted", 1), b"T02thread:2;"),
        (Event("crash", 1, crash=CRASH), b"T0bthread:2;"),
    ],
)
def test_why_the_guest_stopped(session: Session, event: Event, reply: bytes) -> None:
    assert only_reply(session, b"?") == b"T05thread:1;"
    session.handle(b"qSupported:swbreak+;hwbreak+")
    assert session.tell(event) == reply
    assert only_reply(session, b"?") == reply
    assert only_reply(session, b"qC") == b"QC%d" % (event.processor + 1)


def test_reasons_that_a_client_does_not_know_are_not_told(session: Session) -> None:
    session.handle(b"qSupported:swbreak-;hwbreak+")
    assert session.tell(SWBREAK) == b"T05thread:2;"
