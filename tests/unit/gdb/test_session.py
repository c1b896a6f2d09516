"""What each packet is answered, and what it does."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pykvm.debug.debugger import Point
from pykvm.gdb.memory import LONGEST_READ
from pykvm.gdb.packets import PACKET_SIZE, PacketError, frame, unescape
from pykvm.gdb.points import cut
from pykvm.gdb.session import Session
from pykvm.kvm.state import MpState
from pykvm.x86 import Mode
from tests.unit.gdb.fakes import RAM, FakeDebugger, only_reply, session_of


@pytest.fixture
def fake() -> FakeDebugger:
    return FakeDebugger(processors=3)


@pytest.fixture
def session(fake: FakeDebugger) -> Session:
    return session_of(fake)


def test_what_the_server_can_do(session: Session) -> None:
    told = only_reply(session, b"qSupported:swbreak+;xmlRegisters=i386").split(b";")
    assert told[0] == b"PacketSize=%x" % PACKET_SIZE
    assert {b"QStartNoAckMode+", b"qXfer:features:read+", b"hwbreak+"} <= set(told)


@pytest.mark.parametrize(
    "packet",
    [
        *[b"", b"!", b"y", b"\xff", b"b", b"vMustReplyEmpty", b"vCtrlC", b"vFile:open:00"],
        *[b"qSymbol::", b"qTStatus", b"qOffsets", b"qHostInfo", b"QNonStop:1", b"q", b"Q", b"v"],
        *[b"qXfer:auxv:read::0,10", b"qXfer:features:write:target.xml:0:00", b"qXfer:features"],
        *[b"Z5,0,1", b"z5,0,1", b"Z", b"qL1200"],
    ],
)
def test_what_is_not_known_is_answered_by_nothing(session: Session, packet: bytes) -> None:
    assert only_reply(session, packet) == b""


def test_acknowledgements_can_be_turned_off(session: Session) -> None:
    assert session.wants_acks
    assert only_reply(session, b"QStartNoAckMode") == b"OK"
    assert not session.wants_acks


# ---- memory


def test_memory_is_read_and_written(session: Session, fake: FakeDebugger) -> None:
    assert only_reply(session, b"M1000,3:aAbB0c") == b"OK"
    assert only_reply(session, b"m1000,4") == b"aabb0c00"
    assert only_reply(session, b"X1001,2:#}") == b"OK"
    assert fake.memory[0x1000:0x1004] == b"\xaa#}\x00"
    assert only_reply(session, b"X1001,0:") == b"OK", "how clients ask whether X is known"


def test_a_read_gives_what_there_is(session: Session) -> None:
    assert only_reply(session, b"mfff0,100") == b"00" * 16
    assert only_reply(session, b"m%x,1" % RAM) == b"E14"
    assert only_reply(session, b"mffffffffffffffff,10") == b"E14"


def test_a_write_beyond_the_end_writes_nothing(session: Session, fake: FakeDebugger) -> None:
    assert only_reply(session, b"Mffff,2:1111") == b"E14"
    assert only_reply(session, b"Xffffffffffffffff,2:11") == b"E14"
    assert not any(fake.memory)


def test_a_reply_fits_its_packet(session: Session, fake: FakeDebugger) -> None:
    fake.memory[:] = bytes(i * 7 & 0xFF for i in range(RAM))
    reply = only_reply(session, b"m0,ffffffff")
    assert bytes.fromhex(reply.decode()) == fake.memory[:LONGEST_READ]
    assert len(frame(reply)) <= PACKET_SIZE + 4


@pytest.mark.parametrize(
    "packet",
    [
        *[b"m", b"m0", b"m0,", b"m,1", b"m0,g", b"m0,1,2", b"m10000000000000000,1", b"m-1,1"],
        *[b"M", b"M0,1", b"M0,1:", b"M0,1:0", b"M0,1:zz", b"M0,1:0000", b"M0:00"],
        *[b"X", b"X0,1:", b"X0,1:ab", b"X0,g:a", b"X:"],
    ],
)
def test_malformed_memory_packets(session: Session, fake: FakeDebugger, packet: bytes) -> None:
    assert only_reply(session, packet) == b"E22"
    assert not any(fake.memory)


# ---- threads


def test_processors_are_threads_from_1_on(session: Session, fake: FakeDebugger) -> None:
    assert only_reply(session, b"qfThreadInfo") == b"m1,2,3"
    assert only_reply(session, b"qsThreadInfo") == b"l"
    assert only_reply(session, b"qC") == b"QC1"
    assert only_reply(session, b"qAttached") == only_reply(session, b"qAttached:1") == b"1"
    assert only_reply(session, b"T3") == b"OK"
    assert only_reply(session, b"Hg3") == b"OK"
    assert only_reply(session, b"qC") == b"QC3"
    assert only_reply(session, b"Hg0") == only_reply(session, b"Hg-1") == b"OK"
    assert only_reply(session, b"qC") == b"QC3", "any thread: the one there is"


@pytest.mark.parametrize("packet", [b"T4", b"T", b"Tx", b"Hg4", b"Hc4", b"H", b"Hx1", b"Hgp1.1"])
def test_threads_that_are_not_there(session: Session, packet: bytes) -> None:
    assert only_reply(session, packet) == b"E22"


def test_what_threads_do(session: Session, fake: FakeDebugger) -> None:
    fake.machine.cpus[1].vcpu.state = MpState.UNINITIALIZED
    fake.machine.cpus[2].vcpu.state = MpState.HALTED
    told = [bytes.fromhex(only_reply(session, b"qThreadExtraInfo,%d" % i).decode()) for i in (1, 2)]
    assert told == [b"vcpu0: real mode", b"vcpu1: real mode, waits for INIT"]
    assert only_reply(session, b"qThreadExtraInfo,0") == b"E22"
    root = ElementTree.fromstring(only_reply(session, b"qXfer:threads:read::0,1000")[1:].decode())
    assert [(t.get("id"), t.get("name"), t.text) for t in root] == [
        ("1", "vcpu0", "real mode"),
        ("2", "vcpu1", "real mode, waits for INIT"),
        ("3", "vcpu2", "real mode, halted"),
    ]


# ---- documents


def read_document(session: Session, what: bytes, size: int) -> bytes:
    """As a client does: piece by piece, until the last."""
    got = b""
    while True:
        reply = only_reply(session, b"qXfer:%b:%x,%x" % (what, len(got), size))
        piece = unescape(reply[1:])
        assert len(piece) <= size
        got += piece
        if reply[:1] == b"l":
            return got
        assert reply[:1] == b"m"
        assert piece


@pytest.mark.parametrize("size", [100, 0xFFFF, 1 << 60])
def test_a_document_comes_in_pieces(session: Session, size: int) -> None:
    whole = read_document(session, b"features:read:target.xml", size)
    assert whole.decode() == session.description.xml


def test_every_piece_fits_its_packet(session: Session) -> None:
    reply = only_reply(session, b"qXfer:features:read:target.xml:0,fffff")
    assert len(frame(reply)) <= PACKET_SIZE + 4


@pytest.mark.parametrize("annex", [b"features:read:", b"features:read:x", b"threads:read:x"])
def test_there_is_one_document_of_a_kind(session: Session, annex: bytes) -> None:
    assert only_reply(session, b"qXfer:" + annex + b":0,100") == b"E00"


def test_malformed_document_reads(session: Session) -> None:
    assert only_reply(session, b"qXfer:features:read:target.xml:0") == b"E22"
    assert only_reply(session, b"qXfer:features:read:target.xml:fffff,10") == b"l"


@pytest.mark.parametrize(("mode", "last"), [(Mode.REAL, 0xFFFFFFFF), (Mode.LONG, (1 << 64) - 2)])
def test_the_memory_map_leaves_out_nothing_that_page_tables_may_map(mode: Mode, last: int) -> None:
    session = session_of(FakeDebugger(mode=mode))
    root = ElementTree.fromstring(read_document(session, b"memory-map:read:", 1000).decode())
    (region,) = root
    assert region.get("type") == "ram"
    assert int(region.get("start", ""), 0) == 0
    assert int(region.get("length", ""), 0) == last + 1


# ---- points


@pytest.mark.parametrize(
    ("packet", "point"),
    [
        (b"0,1000,1", Point("software", 0x1000)),
        (b"1,ffffffff81000000,1", Point("hardware", 0xFFFFFFFF81000000)),
        (b"2,1008,8", Point("write", 0x1008, 8)),
        (b"3,1002,2", Point("read", 0x1002, 2)),
        (b"4,1001,1", Point("access", 0x1001, 1)),
    ],
)
def test_points(session: Session, fake: FakeDebugger, packet: bytes, point: Point) -> None:
    assert only_reply(session, b"z" + packet) == b"OK", "what is not there need not go"
    assert only_reply(session, b"Z" + packet) == b"OK"
    assert only_reply(session, b"Z" + packet) == b"OK", "again is no different from once"
    assert fake.points == [point]
    assert only_reply(session, b"z" + packet) == b"OK"
    assert fake.points == []


def test_what_debug_registers_cannot_watch_at_once_is_cut(
    session: Session, fake: FakeDebugger
) -> None:
    assert only_reply(session, b"Z2,1003,b") == b"OK"
    pieces = [(0x1003, 1), (0x1004, 4), (0x1008, 4), (0x100C, 2)]
    assert fake.points == [Point("write", at, size) for at, size in pieces]
    # one of them is wanted by itself, too
    assert only_reply(session, b"Z2,1004,4") == b"OK"
    assert only_reply(session, b"z2,1003,b") == b"OK"
    assert fake.points == [Point("write", 0x1004, 4)]


def test_a_point_that_cannot_be_had_leaves_nothing_behind(
    session: Session, fake: FakeDebugger
) -> None:
    fake.limit = 2
    assert only_reply(session, b"Z2,1001,7") == b"E22"
    assert fake.points == []
    assert only_reply(session, b"Z2,1000,4") == b"OK"


@pytest.mark.parametrize(
    "packet",
    [b"Z0", b"Z0,", b"Z0,0", b"Z0,g,1", b"Z0,0,1;X1,00", b"Z2,0,0", b"Z2,1000,29", b"z1,0"],
)
def test_malformed_points(session: Session, fake: FakeDebugger, packet: bytes) -> None:
    assert only_reply(session, packet) == b"E22"
    assert fake.points == []


def test_leaving_takes_points_away(session: Session, fake: FakeDebugger) -> None:
    session.handle(b"Z0,1000,1")
    session.handle(b"Z2,1003,b")
    session.leave()
    assert fake.points == []


@pytest.mark.parametrize("address", range(16))
def test_pieces_cover_what_is_asked_and_are_what_debug_registers_watch(address: int) -> None:
    for length in range(1, 40):
        try:
            pieces = cut(address, length)
        except PacketError:
            assert length > 9, "so many bytes fit wherever they are"
            continue
        assert len(pieces) <= 4
        at = address
        for start, size in pieces:
            assert start == at
            assert size in (1, 2, 4, 8)
            assert start % size == 0
            at += size
        assert at == address + length


def test_nothing_is_watched_behind_the_last_address() -> None:
    assert cut((1 << 64) - 2, 2) == [((1 << 64) - 2, 2)]
    with pytest.raises(PacketError):
        cut((1 << 64) - 2, 3)
