"""Packets on the wire: any content survives, in any pieces; nothing else gets through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.gdb.packets import (
    PACKET_SIZE,
    Decoder,
    Mark,
    PacketError,
    compress,
    escape,
    frame,
    from_hex,
    number,
    numbers,
    to_hex,
)
from tests.support.rsp import expanded, framed

REPETITIVE = st.lists(st.tuples(st.sampled_from(b"0#$}*+-\x03x "), st.integers(1, 300))).map(
    lambda runs: b"".join(bytes((byte,)) * count for byte, count in runs)
)
CONTENT = st.binary(max_size=300) | REPETITIVE


def decode(data: bytes) -> list[bytes | Mark]:
    return list(Decoder().feed(data))


@given(CONTENT)
def test_a_reply_says_what_was_put_in(content: bytes) -> None:
    sent = frame(escape(content))
    assert sent[:1] == b"$"
    raw, told = sent[1:-3], sent[-2:]
    assert sent[-3:-2] == b"#"
    assert int(told, 16) == sum(raw) % 256
    assert not set(raw) & set(b"#$")
    assert expanded(raw) == content


@given(REPETITIVE)
def test_compression_never_lengthens_and_counts_are_printable(content: bytes) -> None:
    raw = compress(escape(content))
    assert len(raw) <= len(escape(content))
    counts = {found[0] for found in re.findall(rb"\*(.)", raw)}
    assert all(32 <= count <= 126 for count in counts)
    assert not counts & set(b"#$+-")


def test_runs_are_compressed() -> None:
    """The manual's own example, and the longest run."""
    assert compress(b"0000") == b"0* "
    assert compress(b"0" * 98) == b"0*~"
    assert compress(b"000") == b"000"


@given(st.lists(CONTENT, max_size=5), st.data())
def test_packets_come_whole_in_whatever_pieces(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framed(content) for content in contents)
    decoder = Decoder()
    got: list[bytes | Mark] = []
    while stream:
        length = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:length])
        stream = stream[length:]
    assert got == contents


@given(st.binary(max_size=50), st.integers(1, 255))
def test_a_wrong_checksum_is_damage(content: bytes, off_by: int) -> None:
    packet = framed(content)
    wrong = (int(packet[-2:], 16) + off_by) % 256
    assert decode(packet[:-2] + b"%02x" % wrong + framed(b"g")) == [Mark.DAMAGED, b"g"]


@pytest.mark.parametrize("told", [b"zz", b"+1", b" 1", b"1_", b"0x"])
def test_a_checksum_is_two_digits(told: bytes) -> None:
    assert decode(b"$#" + told) == [Mark.DAMAGED]


def test_either_case_of_digits_will_do() -> None:
    assert decode(b"$?#3F") == decode(b"$?#3f") == [b"?"]


@given(st.binary(max_size=200))
def test_noise_never_raises_and_a_packet_behind_it_is_found(noise: bytes) -> None:
    decoder = Decoder()
    list(decoder.feed(noise))
    # the first may be taken for the noise's end
    assert list(decoder.feed(framed(b"g") + framed(b"?")))[-1] == b"?"


def test_marks_between_packets() -> None:
    assert decode(b"+-\x03~$g#67+") == [Mark.ACK, Mark.NAK, Mark.INTERRUPT, b"g", Mark.ACK]


def test_within_a_packet_they_are_data() -> None:
    assert decode(framed(b"X0,3:+-\x03")) == [b"X0,3:+-\x03"]


def test_a_packet_that_begins_within_another_is_the_one_that_counts() -> None:
    assert decode(b"$m0,1$g#67") == [Mark.DAMAGED, b"g"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_packet_longer_than_promised_is_damage(whole: bool) -> None:
    longest = b"X" * PACKET_SIZE
    assert decode(framed(longest)) == [longest]
    too_long = framed(longest + b"X")
    decoder = Decoder()
    got = list(decoder.feed(too_long if whole else too_long[:-3]))
    assert got == [Mark.DAMAGED]
    assert list(decoder.feed(b"" if whole else too_long[-3:])) == []
    assert list(decoder.feed(b"$g#67")) == [b"g"]


def test_a_packet_that_never_ends_takes_no_room() -> None:
    decoder = Decoder()
    for _ in range(100):
        list(decoder.feed(b"$" + b"X" * PACKET_SIZE))
    assert len(decoder._buffer) <= PACKET_SIZE + 1


@pytest.mark.parametrize("text", [b"", b"0x10", b"-1", b"+1", b" 1", b"1_0", b"g", b"1" * 17])
def test_what_is_no_number(text: bytes) -> None:
    with pytest.raises(PacketError):
        number(text)


def test_numbers() -> None:
    assert number(b"fFfF") == 0xFFFF
    assert number(b"0" * 20 + b"1") == 1
    assert numbers(b"10,ffffffffffffffff") == (16, (1 << 64) - 1)
    with pytest.raises(PacketError):
        number(b"100", 8)
    with pytest.raises(PacketError):
        numbers(b"10")


@given(st.binary(max_size=30))
def test_bytes_in_hexadecimal(data: bytes) -> None:
    assert from_hex(to_hex(data)) == data


@pytest.mark.parametrize("text", [b"0", b"0g", b"0 ", b"\xff\xff"])
def test_what_is_not_bytes(text: bytes) -> None:
    with pytest.raises(PacketError):
        from_hex(text)


def test_errors_are_numbers_as_people_know_them() -> None:
    assert PacketError(14).reply == b"E14"
    assert PacketError(0).reply == b"E00"
