"""Finding the instruction of an exit, where RIP is at it and where it is behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.kvm.decode import REASONS
from pykvm.kvm.recorder import Record
from pykvm.trace.matching import find_instructions
from tests.unit.trace.story_rig import HLT, MMIO, record, tick

START = 0x1000


class Code:
    """Code at 0x1000, given as hexadecimal, an instruction a line."""

    def __init__(self, *lines: str) -> None:
        self.bytes = b""
        self.starts: list[int] = []
        for line in lines:
            self.starts.append(START + len(self.bytes))
            self.bytes += bytes.fromhex(line)
        self.starts.append(START + len(self.bytes))

    def read(self, linear: int, length: int) -> bytes:
        first = max(linear - START, 0)
        return self.bytes[first : max(linear - START + length, 0)]

    def texts(self, *records: Record) -> list[str | None]:
        found = find_instructions(records, self.read, [START])
        return [None if i is None else i.text for i in found]


def read_of(**fields: object) -> Record:
    return record(is_write=False, **fields)


PRINT = Code(
    "ec",  # in al, dx
    "a8 20",  # test al, 0x20
    "88 e0",  # mov al, ah
    "ee",  # out dx, al
    "ee",  # out dx, al
    "e6 f4",  # out 0xf4, al
    "66 ef",  # out dx, eax
    "f4",  # hlt
)


def test_rip_at_the_instruction() -> None:
    s = PRINT.starts
    records = [
        read_of(rip=s[0]),
        record(rip=s[3]),
        record(rip=s[4]),
        record(rip=s[5], address=0xF4),
        record(rip=s[6], size=4),
    ]
    assert PRINT.texts(*records) == [
        "in al, dx",
        "out dx, al",
        "out dx, al",
        "out 0xf4, al",
        "out dx, eax",
    ]


def test_rip_behind_writes_and_at_reads() -> None:
    s = PRINT.starts
    records = [
        read_of(rip=s[0]),
        record(rip=s[4]),  # this one alone could be at the second OUT
        record(rip=s[5]),
        record(rip=s[6], address=0xF4),
        record(rip=s[7], size=4),
        record(reason=HLT, is_write=False, count=0, rip=s[8]),
    ]
    found = find_instructions(records, PRINT.read, [START])
    assert [i and (i.address, i.text) for i in found] == [
        (s[0], "in al, dx"),
        (s[3], "out dx, al"),
        (s[4], "out dx, al"),
        (s[5], "out 0xf4, al"),
        (s[6], "out dx, eax"),
        (s[7], "hlt"),
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"rip": PRINT.starts[1]}, "another instruction"),
        ({"rip": PRINT.starts[5], "is_write": False}, "another direction"),
        ({"rip": PRINT.starts[0], "is_write": False, "size": 2}, "another size"),
        ({"rip": 0x5000}, "no code"),
        ({"rip": 0, "code_width": 0}, "no RIP"),
    ],
)
def test_what_does_not_fit_is_not_named(fields: dict[str, int], why: str) -> None:
    assert PRINT.texts(record(**fields)) == [None], why


def test_a_port_in_the_instruction_counts() -> None:
    code = Code("88 e0", "e6 f4")  # mov al, ah; out 0xf4, al
    assert code.texts(record(rip=code.starts[1], address=0xF4)) == ["out 0xf4, al"]
    assert code.texts(record(rip=code.starts[1], address=0xF5)) == [None]


def test_a_segment_base_counts_except_in_64_bit_code() -> None:
    at = PRINT.starts[3]
    assert PRINT.texts(record(rip=at - 0x800, cs_base=0x800)) == ["out dx, al"]
    assert PRINT.texts(record(rip=at, cs_base=0x800, code_width=64)) == ["out dx, al"]
    assert PRINT.texts(record(rip=at + (1 << 32) - 0x800, cs_base=0x800)) == ["out dx, al"]


STORE_AND_LOAD = Code(
    "c7 07 00 00 00 00",  # mov dword ptr [rdi], 0
    "83 3f ff",  # cmp dword ptr [rdi], -1
    "48 89 5f 28",  # mov qword ptr [rdi + 0x28], rbx
    "8a 47 10",  # mov al, byte ptr [rdi + 0x10]
    "83 47 20 01",  # add dword ptr [rdi + 0x20], 1
    "8d 47 20",  # lea eax, [rdi + 0x20]
    "f3 a5",  # rep movsd dword ptr [rdi], dword ptr [rsi]
)


def mmio(rip: int, size: int, *, is_write: bool) -> Record:
    fields = {"reason": MMIO, "address": 0xE0000100, "code_width": 64}
    return record(rip=rip, size=size, is_write=is_write, **fields)


@pytest.mark.parametrize("written_behind", [False, True])
def test_stores_and_loads(written_behind: bool) -> None:
    """A store must not be taken for the comparison that stands behind it."""
    s, behind = STORE_AND_LOAD.starts, int(written_behind)
    records = [
        mmio(s[0 + behind], 4, is_write=True),
        mmio(s[1], 4, is_write=False),
        mmio(s[2 + behind], 8, is_write=True),
        mmio(s[3], 1, is_write=False),
        mmio(s[4], 4, is_write=False),
        mmio(s[4 + behind], 4, is_write=True),
        mmio(s[6], 4, is_write=True),
    ]
    assert STORE_AND_LOAD.texts(*records) == [
        "mov dword ptr [rdi], 0",
        "cmp dword ptr [rdi], -1",
        "mov qword ptr [rdi + 0x28], rbx",
        "mov al, byte ptr [rdi + 0x10]",
        "add dword ptr [rdi + 0x20], 1",
        "add dword ptr [rdi + 0x20], 1",
        "rep movsd dword ptr [rdi], dword ptr [rsi]",
    ]


def test_an_access_that_kvm_cuts() -> None:
    wide = Code("0f 11 07")  # movups xmmword ptr [rdi], xmm0
    assert wide.texts(mmio(START, 8, is_write=True)) == ["movups xmmword ptr [rdi], xmm0"]
    edge = mmio(START, 3, is_write=True)._replace(address=0xE0000FFD)
    assert Code("89 07").texts(edge) == ["mov dword ptr [rdi], eax"]
    assert Code("89 07").texts(edge._replace(address=0xE0000100)) == [None]


@given(
    st.binary(max_size=64),
    st.lists(
        st.builds(
            record,
            rip=st.integers(0, 1 << 64) | st.integers(START, START + 70),
            reason=st.integers(0, len(REASONS)),
            is_write=st.booleans(),
            size=st.sampled_from([1, 2, 3, 4, 8]),
            code_width=st.sampled_from([0, 16, 32, 64]),
        ),
        max_size=8,
    ),
)
def test_whatever_the_guest_has_there(code: bytes, records: list[Record]) -> None:
    guest = Code(code.hex())
    assert len(guest.texts(*records, tick())) == len(records) + 1
