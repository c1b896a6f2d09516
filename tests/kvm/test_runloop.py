"""The C run loop: what it answers itself, what it hands back, and in which order."""

from __future__ import annotations

import time
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.kvm.coalesced import CoalescedZone
from pykvm.kvm.runloop import BUDGET_SPENT, INTERRUPTED, PostedWrites
from pykvm.memory import Gpa
from tests.support.bare import Bare
from tests.support.waiting import eventually

PORT = 0x300


OUT_THEN_HALT = bytes.fromhex(
    "ba 00 03"  # mov dx, 0x300
    "b0 41"  # mov al, 'A'
    "ee"  # out dx, al
    "40"  # inc ax
    "ee"  # out dx, al
    "f4"  # hlt
)

IN_THEN_HALT = bytes.fromhex(
    "ba 00 03"  # mov dx, 0x300
    "ed"  # in ax, dx
    "f4"  # hlt
)

REP_OUTS = bytes.fromhex(
    "ba 00 03"  # mov dx, 0x300
    "be 00 10"  # mov si, 0x1000
    "b9 07 00"  # mov cx, 7
    "f3 6f"  # rep outsw
    "f4"  # hlt
)

REP_INS = bytes.fromhex(
    "ba 00 03"  # mov dx, 0x300
    "bf 00 20"  # mov di, 0x2000
    "b9 28 00"  # mov cx, 40
    "f3 6c"  # rep insb
    "f4"  # hlt
)

MMIO_OUT_MMIO_HALT = bytes.fromhex(
    "b8 00 a0"  # mov ax, 0xa000
    "8e d8"  # mov ds, ax
    "a2 04 00"  # mov [4], al
    "e6 30"  # out 0x30, al
    "a2 04 00"  # mov [4], al
    "f4"  # hlt
)
MMIO = 0xA0004
"""Above the 64 KiB of RAM."""

OUT_FOREVER = bytes.fromhex(
    "ee"  # out dx, al
    "eb fd"  # jmp back to it
)

SPIN = bytes.fromhex(
    "eb fe"  # jmp $
)


def io_exit(bare: Bare) -> dict[str, Any]:
    e = bare.loop.exit
    return {name: getattr(e, name) for name in ("is_write", "size", "count", "address")}


def test_an_unrouted_write_comes_back_flat(bare: Bare) -> None:
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    assert io_exit(bare) == {"is_write": 1, "size": 1, "count": 1, "address": PORT}
    assert bytes(ffi.buffer(bare.loop.exit.data, 1)) == b"A"
    offset = bare.loop.access()[2]
    assert bare.loop.access() == (True, 1, offset, 1, 0, PORT, ord("A"))
    assert bare.loop.page[offset : offset + 1] == b"A"
    assert bare.enter() == lib.KVM_EXIT_IO
    assert bytes(ffi.buffer(bare.loop.exit.data, 1)) == b"B"
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.posted() == []


def test_posted_writes_to_one_port_come_as_one_run(bare: Bare) -> None:
    bare.routes.ports.post_writes(PORT, 1, on=True)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.posted() == [PostedWrites(False, PORT, 1, b"AB")]
    assert bare.posted() == []


def test_posting_can_be_taken_back(bare: Bare) -> None:
    bare.routes.ports.post_writes(PORT, 1, on=True)
    bare.routes.ports.post_writes(PORT, 1, on=False)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO


def test_a_route_is_for_its_size_only(bare: Bare) -> None:
    bare.routes.ports.post_writes(PORT, 2, on=True)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    assert bare.posted() == []


def test_a_read_is_answered_until_the_answer_is_taken_back(bare: Bare) -> None:
    bare.routes.ports.answer_reads(PORT, 2, 0xBEEF)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.cpu.vcpu.get_regs().rax == 0xBEEF
    bare.routes.ports.answer_reads(PORT, 2, None)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    assert io_exit(bare) == {"is_write": 0, "size": 2, "count": 1, "address": PORT}


def test_an_answer_may_be_for_several_sizes(bare: Bare) -> None:
    bare.routes.ports.answer_reads(PORT, 1 | 2, 0xDEADBEEF)
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.cpu.vcpu.get_regs().rax == 0xBEEF


def test_dropped_writes_leave_no_trace_but_the_count(bare: Bare) -> None:
    bare.routes.ports.drop_writes(PORT, 1)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.posted() == []
    assert bare.loop.exits_by_port() == {PORT: 2}


def test_string_output_is_posted_whole(bare: Bare) -> None:
    bare.routes.ports.post_writes(PORT, 2, on=True)
    bare.load(REP_OUTS)
    assert bare.enter() == lib.KVM_EXIT_HLT
    code = REP_OUTS + bytes(14 - len(REP_OUTS))
    assert bare.posted() == [PostedWrites(False, PORT, 2, code)]


def test_string_input_is_answered_element_by_element(bare: Bare) -> None:
    bare.routes.ports.answer_reads(PORT, 1, 0x5A)
    bare.load(REP_INS)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.machine.memory.read(Gpa(0x2000), 41) == b"\x5a" * 40 + b"\0"


def test_a_native_device_answers_both_ways(bare: Bare) -> None:
    latch = ffi.new("uint64_t *")
    assert bare.routes.ports.native(PORT, "shim_latch", latch)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert latch[0] == ord("B")
    latch[0] = 0x1234
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.cpu.vcpu.get_regs().rax == 0x1234


def test_a_native_device_is_called_for_each_element(bare: Bare) -> None:
    count = ffi.new("uint64_t *")
    bare.routes.ports.native(PORT, "shim_counter", count)
    bare.load(REP_INS)
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert count[0] == 40
    assert bare.machine.memory.read(Gpa(0x2000), 40) == bytes(range(1, 41))


def test_mmio_has_routes_of_its_own(bare: Bare) -> None:
    bare.routes.mmio.post_writes(MMIO, 1, on=True)
    bare.load(MMIO_OUT_MMIO_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    assert bare.posted() == [PostedWrites(True, MMIO, 1, b"\0")]
    assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.posted() == [PostedWrites(True, MMIO, 1, b"\0")]


def test_mmio_routes_are_exact_and_bounded(bare: Bare) -> None:
    for i in range(40):
        bare.routes.mmio.post_writes(MMIO + 8 + i, 1, on=True)
    assert bare.routes.cdata.mmio_count == 32
    bare.load(MMIO_OUT_MMIO_HALT)
    assert bare.enter() == lib.KVM_EXIT_MMIO
    assert io_exit(bare) == {"is_write": 1, "size": 1, "count": 1, "address": MMIO}


def test_when_all_routes_are_taken_accesses_stay_pythons(bare: Bare) -> None:
    for port in range(0x1000, 0x1000 + 300):
        bare.routes.ports.post_writes(port, 1, on=True)
    bare.routes.ports.post_writes(PORT, 1, on=True)
    bare.load(OUT_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO


def test_a_native_device_is_routed_both_ways_or_not_at_all(bare: Bare) -> None:
    while bare.routes.allocate() != 254:
        pass
    count = ffi.new("uint64_t *")
    assert not bare.routes.ports.native(PORT, "shim_counter", count)  # room for one of its two
    bare.load(IN_THEN_HALT)
    assert bare.enter() == lib.KVM_EXIT_IO
    assert count[0] == 0


def test_coalesced_and_posted_writes_keep_the_guests_order(bare: Bare) -> None:
    bare.routes.ports.post_writes(0x30, 1, on=True)
    with CoalescedZone(bare.machine.vm, MMIO, 1):
        bare.load(MMIO_OUT_MMIO_HALT)
        assert bare.enter() == lib.KVM_EXIT_HLT
        assert bare.loop.exits_by_reason() == {lib.KVM_EXIT_IO: 1, lib.KVM_EXIT_HLT: 1}
    assert bare.posted() == [
        PostedWrites(True, MMIO, 1, b"\0"),
        PostedWrites(False, 0x30, 1, b"\0"),
        PostedWrites(True, MMIO, 1, b"\0"),
    ]


def test_the_kernels_ring_wraps_around_and_loses_nothing(bare: Bare) -> None:
    """400 writes through a ring of 170; those that find it full are exits of their own."""
    code = bytes.fromhex(
        "b8 00 a0"  # mov ax, 0xa000
        "8e d8"  # mov ds, ax
        "b9 90 01"  # mov cx, 400
        "a2 04 00"  # mov [4], al
        "40"  # inc ax
        "e2 fa"  # loop back to the mov
        "f4"  # hlt
    )
    got: list[int] = []
    with CoalescedZone(bare.machine.vm, MMIO, 1):
        bare.load(code)
        while (reason := bare.enter()) != lib.KVM_EXIT_HLT:
            assert reason == lib.KVM_EXIT_MMIO
            got += b"".join(run.data for run in bare.posted())
            got.append(bare.loop.exit.data[0])
        got += b"".join(run.data for run in bare.posted())
    assert got == [n & 0xFF for n in range(400)]


def test_an_interruption_brings_what_was_coalesced(bare: Bare) -> None:
    code = bytes.fromhex(
        "b8 00 a0"  # mov ax, 0xa000
        "8e d8"  # mov ds, ax
        "a2 04 00"  # mov [4], al
        "eb fe"  # jmp $
    )
    got: list[PostedWrites] = []

    def interrupted() -> bool:
        bare.loop.set_timer(time.monotonic_ns() + 1_000_000, 0)
        assert bare.loop.enter() == INTERRUPTED
        got.extend(bare.posted())
        return bool(got)

    with CoalescedZone(bare.machine.vm, MMIO, 1):
        bare.load(code)
        assert eventually(interrupted)
    assert got == [PostedWrites(True, MMIO, 1, b"\0")]


def test_the_pieces_of_an_access_over_a_page_s_edge_have_no_route(bare: Bare) -> None:
    code = bytes.fromhex(
        "b8 00 a0"  # mov ax, 0xa000
        "8e d8"  # mov ds, ax
        "66 a3 fd 0f"  # mov [0xffd], eax
        "f4"  # hlt
    )
    count = ffi.new("uint64_t *")
    bare.routes.mmio.native(0xA0FFD, "shim_counter", count)
    bare.load(code)
    assert bare.enter() == lib.KVM_EXIT_MMIO
    assert io_exit(bare) == {"is_write": 1, "size": 3, "count": 1, "address": 0xA0FFD}
    assert count[0] == 0


def test_runs_are_of_one_size(bare: Bare) -> None:
    code = bytes.fromhex(
        "b8 00 a0"  # mov ax, 0xa000
        "8e d8"  # mov ds, ax
        "a2 04 00"  # mov [4], al
        "a3 04 00"  # mov [4], ax
        "f4"  # hlt
    )
    with CoalescedZone(bare.machine.vm, MMIO, 8):
        bare.load(code)
        assert bare.enter() == lib.KVM_EXIT_HLT
    assert bare.posted() == [
        PostedWrites(True, MMIO, 1, b"\0"),
        PostedWrites(True, MMIO, 2, b"\0\xa0"),
    ]


def test_a_full_log_loses_nothing(bare: Bare) -> None:
    bare.routes.ports.post_writes(PORT, 1, on=True)
    bare.load(b"\xba\x00\x03" + OUT_FOREVER)
    bare.loop.budget = 70_000
    got = 0
    while (reason := bare.enter()) != BUDGET_SPENT:
        got += sum(len(run.data) for run in bare.posted())
        assert reason == lib.KVM_EXIT_IO, "the log is full: this write is Python's"
        got += 1
    got += sum(len(run.data) for run in bare.posted())
    assert got == 70_000


def test_the_budget_is_exact(bare: Bare) -> None:
    bare.routes.ports.drop_writes(0, 1)
    bare.load(b"\x31\xd2" + OUT_FOREVER)  # xor dx, dx
    bare.loop.budget = 25
    assert bare.enter() == BUDGET_SPENT
    assert bare.loop.exits_by_reason() == {lib.KVM_EXIT_IO: 25}
    assert bare.enter() == BUDGET_SPENT
    bare.loop.budget = 3
    assert bare.enter() == BUDGET_SPENT
    assert bare.loop.exits_by_reason() == {lib.KVM_EXIT_IO: 28}
