"""The commands behind gdb's `monitor`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykvm.gdb.session import Session
from tests.unit.gdb.fakes import FakeDebugger, only_reply, session_of


@pytest.fixture
def fake() -> FakeDebugger:
    return FakeDebugger(processors=3)


@pytest.fixture
def session(fake: FakeDebugger) -> Session:
    return session_of(fake)


def monitor(session: Session, words: str) -> str:
    answer = session.handle(b"qRcmd," + words.encode().hex().encode())
    assert answer.packets[-1] == b"OK"
    assert all(packet[:1] == b"O" for packet in answer.packets)
    return b"".join(bytes.fromhex(p[1:].decode()) for p in answer.packets[:-1]).decode()


def test_the_monitor_helps(session: Session) -> None:
    shown = monitor(session, "help")
    assert monitor(session, "") == shown
    for words in ("info exits", "registers", "gdt", "idt", "translate ADDR"):
        assert f"\n{words} " in shown


def test_the_manual_shows_the_same_help(session: Session) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "gdb.md").read_text()
    assert f"(gdb) monitor help\n{monitor(session, 'help')}```" in manual


@pytest.mark.parametrize("words", ["nonsense", "info", "translate", "gdt 5", "ADDR", "\0\x1b[2J"])
def test_what_the_monitor_does_not_know(session: Session, words: str) -> None:
    shown = monitor(session, words)
    assert shown.startswith(f"no such command: {words!a}\nhelp ")
    assert "\x1b" not in shown


def test_monitor_info_exits(session: Session) -> None:
    assert [line.split() for line in monitor(session, "info exits").splitlines()] == [
        ["KVM_EXIT_IO", "3"],
        ["KVM_EXIT_HLT", "1"],
        ["all", "4"],
    ]


def test_monitor_registers_is_of_the_chosen_processor(session: Session, fake: FakeDebugger) -> None:
    fake.machine.cpus[1].vcpu.regs.rax = 0x1234ABCD
    assert "1234abcd" not in monitor(session, "registers")
    session.handle(b"Hg2")
    assert "1234abcd" in monitor(session, "registers")


def test_monitor_tables_show_what_there_is(session: Session) -> None:
    session.handle(b"Hg2")
    gdt = monitor(session, "gdt").splitlines()
    assert [line.split() for line in gdt] == [
        *(["gdt", "at", "0x500,", "limit", "0x17"],),
        *(["0008", "data", "dpl", "0", "base", "1", "limit", "0", "not", "present"],),
        *(["1", "empty"],),
    ]
    assert monitor(session, "idt") == "idt at 0x0, limit 0x3ff\n  3 not in RAM\n"


def test_monitor_translate(session: Session) -> None:
    session.handle(b"Hg3")
    assert monitor(session, "translate 0x7c00") == "0x7c00 -> 0x7c00\n  on 2\n"
    for mistake in ("7c0g", "-1", "0x10000000000000000"):
        assert monitor(session, f"translate {mistake}").startswith(f"'{mistake}' is not an address")


def test_malformed_monitor_packets(session: Session) -> None:
    assert only_reply(session, b"qRcmd,0") == b"E22"
    assert only_reply(session, b"qRcmd,zz") == b"E22"
