"""From RIP to the instruction: at it or behind it."""

from __future__ import annotations

import pytest

from pykvm._shim import lib
from pykvm.kvm.recorder import Record
from pykvm.trace.matching import Votes, find_instruction, fits
from tests.unit.trace.by_hand import record

IO, MMIO, HLT = lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO, lib.KVM_EXIT_HLT
NOPS = bytes(range(0x90, 0x91)) * 15


def find(of: Record, before: str, behind: str, votes: Votes | None = None) -> int | None:
    return find_instruction(
        of, bytes.fromhex(before), bytes.fromhex(behind), Votes() if votes is None else votes
    )


def test_an_out_that_rip_is_at() -> None:
    assert find(record(), "90 90 90", "ee 90 90") == 0


def test_an_out_that_rip_is_behind() -> None:
    assert find(record(), "90 90 ee", "90 90 90") == 1


def test_an_immediate_port_must_be_the_one_accessed() -> None:
    assert find(record(address=0xF4), "b0 2a e6 f4", "90 90") == 2
    assert find(record(address=0xF5), "b0 2a e6 f4", "90 90") is None


def test_the_size_must_be_the_one_accessed() -> None:
    assert find(record(size=2), "90 90 ee", "90 90") is None
    assert find(record(size=2), "90 90 ef", "90 90") == 1
    assert find(record(size=4), "90 66 ef", "90 90") == 2


def test_rep_belongs_to_a_string_instruction() -> None:
    assert find(record(), "90 f3 6e", "90 90") == 2
    assert find(record(is_write=False), "90 90", "f3 6c 90") == 0


def test_an_in_is_no_out() -> None:
    assert find(record(is_write=False), "90 90 ee", "90 90") is None
    assert find(record(is_write=False), "90 90", "ec 90") == 0


def test_a_store_that_rip_is_behind() -> None:
    store = record(reason=MMIO, address=0xA0004)
    assert find(store, "8e d8 a2 04 00", "90 90") == 3


def test_a_load_that_rip_is_at() -> None:
    load = record(reason=MMIO, is_write=False, size=4, code_width=64)
    assert find(load, "90 90 90", "8b 07 90") == 0


def test_lea_accesses_nothing() -> None:
    load = record(reason=MMIO, is_write=False, size=4, code_width=64)
    assert find(load, "90 90 90", "8d 07 90") is None


def test_hlt_is_behind_rip_or_at_it() -> None:
    assert find(record(reason=HLT, size=0), "90 f4", "90") == 1
    assert find(record(reason=HLT, size=0), "90 90", "f4") == 0


def test_between_two_equal_ones_the_host_decides() -> None:
    behind, ahead = Votes(), Votes()
    find(record(), "90 ee", "90", behind)
    find(record(), "90 90", "ee", ahead)
    assert find(record(), "ee", "ee", behind) == 1
    assert find(record(), "ee", "ee", ahead) == 0


def test_without_a_clear_case_writes_are_over_and_reads_are_not() -> None:
    assert find(record(), "ee", "ee") == 1
    assert find(record(is_write=False), "ec", "ec") == 0


def test_reads_and_writes_vote_apart() -> None:
    votes = Votes()
    find(record(), "90 ee", "90", votes)
    assert find(record(is_write=False), "ec", "ec", votes) == 0


def test_no_code_is_no_instruction() -> None:
    assert find(record(), "", "") is None


def test_other_exits_have_none() -> None:
    assert find(record(reason=8, size=0), "ee", "ee") is None


@pytest.mark.parametrize(
    ("text", "reason", "is_write"),
    [
        ("rdmsr", lib.KVM_EXIT_X86_RDMSR, False),
        ("wrmsr", lib.KVM_EXIT_X86_WRMSR, True),
        ("hlt", HLT, False),
        ("out 0x30, al", IO, True),
        ("out 3, al", IO, True),
        ("movsb byte ptr es:[edi], byte ptr [esi]", MMIO, True),
        ("mov byte ptr [rax], cl", MMIO, True),
    ],
)
def test_what_fits(text: str, reason: int, is_write: bool) -> None:
    address = int(text.split()[1].rstrip(","), 0) if text.startswith("out") else 0
    assert fits(record(reason=reason, is_write=is_write, address=address), text)
    assert not fits(record(reason=reason, is_write=is_write, address=address), "cli")
