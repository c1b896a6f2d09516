"""From RIP to the instruction: at it or behind it."""

from __future__ import annotations

import pytest

from pykvm._shim import lib
from pykvm.debug.disasm import Instruction, disassemble
from pykvm.kvm.recorder import Record
from pykvm.trace.matching import Matcher, fits
from tests.unit.trace.by_hand import record

IO, MMIO, HLT = lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO, lib.KVM_EXIT_HLT
NOPS = bytes(range(0x90, 0x91)) * 15


def find(of: Record, before: str, behind: str, matcher: Matcher | None = None) -> int | None:
    """How far before RIP the instruction begins that is found in code around it, after NOPs."""
    code = NOPS + bytes.fromhex(before + behind)
    start = of.rip - len(NOPS + bytes.fromhex(before))

    def read(linear: int, length: int) -> bytes:
        first = max(linear - start, 0)
        return code[first : max(linear - start + length, 0)]

    found = (Matcher() if matcher is None else matcher).find(of, read)
    return None if found is None else of.rip - found.address


def instruction(code: str, bits: int = 16) -> Instruction:
    return disassemble(bytes.fromhex(code), 0x1000, bits)[0]


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
    behind, ahead = Matcher(), Matcher()
    find(record(), "90 ee", "90", behind)
    find(record(), "90 90", "ee", ahead)
    assert find(record(), "ee", "ee", behind) == 1
    assert find(record(), "ee", "ee", ahead) == 0


def test_without_a_clear_case_writes_are_over_and_reads_are_not() -> None:
    assert find(record(), "ee", "ee") == 1
    assert find(record(is_write=False), "ec", "ec") == 0


def test_reads_and_writes_vote_apart() -> None:
    matcher = Matcher()
    find(record(), "90 ee", "90", matcher)
    assert find(record(is_write=False), "ec", "ec", matcher) == 0


def test_no_code_is_no_instruction() -> None:
    assert find(record(), "", "") is None


def test_other_exits_have_none() -> None:
    assert find(record(reason=8, size=0), "ee", "ee") is None


@pytest.mark.parametrize(
    ("code", "reason", "is_write"),
    [
        ("0f 32", lib.KVM_EXIT_X86_RDMSR, False),
        ("0f 30", lib.KVM_EXIT_X86_WRMSR, True),
        ("f4", HLT, False),
        ("e6 30", IO, True),
        ("e6 03", IO, True),
        ("a4", MMIO, True),
        ("88 07", MMIO, True),
    ],
)
def test_what_fits(code: str, reason: int, is_write: bool) -> None:
    address = int(code.split()[1], 16) if reason == IO else 0xA0004
    of = record(reason=reason, is_write=is_write, address=address)
    assert fits(instruction(code), of)
    assert not fits(instruction("fa"), of)


def test_a_comparison_stores_nothing() -> None:
    store = record(reason=MMIO, size=4, code_width=64)
    assert find(store, "c7 07 00 00 00 00", "83 3f ff 90") == 6
    assert find(store._replace(is_write=False), "c7 07 00 00 00 00", "83 3f ff 90") == 0


def test_what_is_known_to_begin_somewhere_leads_to_what_ends_at_rip() -> None:
    """The last two bytes of `mov byte ptr [rdi], 0` at 1 alone would be a store, too."""
    store = record(reason=MMIO, code_width=64)
    code = "c6 47 00 00"
    assert find(store, code, "90 90") == 2
    assert find(store, code, "90 90", Matcher([store.rip - 4])) == 4


def test_exits_themselves_tell_where_instructions_begin() -> None:
    store, matcher = record(reason=MMIO, code_width=64), Matcher()
    assert find(store._replace(rip=store.rip - 4), "ee 88 07", "c6 47 00 00", matcher) == 2
    assert find(store, "ee 88 07 c6 47 00 00", "90 90", matcher) == 4


@pytest.mark.parametrize(("code", "found"), [("90 ee", 0x2001), ("", None), ("ef", None)])
def test_the_page_before_may_not_be_there(code: str, found: int | None) -> None:
    page = bytes.fromhex(code)

    def read(linear: int, length: int) -> bytes:
        return page[linear - 0x2000 : linear - 0x2000 + length] if linear >= 0x2000 else b""

    instruction = Matcher().find(record(rip=0x2000 + len(page)), read)
    assert (instruction and instruction.address) == found


def test_an_internal_error_is_of_what_is_at_rip() -> None:
    error = record(reason=17, size=0)
    assert find(error, "ee", "0f 0b") == 0
