"""What is told: calls, turns, what is left out, and what the numbers add up to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pykvm.kvm.journal import Call
from pykvm.kvm.recorder import Record
from pykvm.trace import lessons
from pykvm.trace.story import Fold, Turn, add_up, entries, fold, tell_hidden, tell_setup, to_draw
from tests.unit.trace.story_rig import (
    HLT,
    MMIO,
    SETUP,
    in_a_row,
    instruction,
    record,
    tick,
    turns_of,
)

READ = record(is_write=False, address=0x3FD, rip=0x1004, handled=2, value=0x60)
WRITE = record(handled=1)
SREGS = ("cr0", "cr3", "efer", "cs.l", "cs.db", "cs.base")


def words_of(turn: Turn) -> list[str]:
    return [f"{line.mode}: {line.words}" for line in turn.lines]


def test_calls_of_one_name_in_a_row_are_one_step() -> None:
    steps = tell_setup(SETUP)
    assert [step.times for step in steps] == [1, 1, 2, 1]
    assert [step.ns for step in steps] == [18_000, 300_000, 2_000, 5_000]
    assert steps[2].call == "ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY)"
    assert steps[2].words == "says 1"


def test_a_step_is_taught_when_it_first_comes() -> None:
    steps = tell_setup((SETUP[2], SETUP[0], SETUP[2]))
    assert [step.lesson is None for step in steps] == [False, False, True]


def test_a_failed_call_says_why() -> None:
    (step,) = tell_setup((Call("KVM_CREATE_VM", "system", {}, -12, 0, 1),))
    assert step.words == "fails: Cannot allocate memory"


def test_memory_in_words() -> None:
    assert tell_setup(SETUP)[-1].words == (
        "slot 0: 1 MiB from guest-physical 0x0 on are this process's memory at 0x7000000"
    )


def test_where_processors_begin() -> None:
    sregs = {"efer": 0, "cs.l": 0, "cs.base": 0xF0000}
    wide = {"efer": 0x500, "cs.l": 1, "cs.base": 0xF0000}
    calls = [
        Call("KVM_SET_SREGS", "vCPU", dict(sregs), 0, 0, 0),
        Call("KVM_SET_REGS", "vCPU", {"rip": 0xFFF0}, 0, 0, 0),
        Call("KVM_SET_SREGS", "vCPU", dict(wide), 0, 0, 0),
        Call("KVM_SET_REGS", "vCPU", {"rip": 0x1000}, 0, 0, 0),
    ]
    assert entries(calls) == [0xFFFF0, 0x1000]


def test_a_turn_tells_who_did_what() -> None:
    turns = turns_of(in_a_row(WRITE, READ), [instruction("ee"), instruction("ec", 0x1004)])
    assert words_of(turns[0]) == [
        "user: ioctl(vcpu, KVM_RUN)",
        "guest: 00001000  ee               out dx, al",
        "kernel: exit reason KVM_EXIT_IO: write 1 byte, 0x41 'A', to port 0x3f8 (UART)",
        "user: the C loop notes it for the device, UART",
        "user: ioctl(vcpu, KVM_RUN), once more",
    ]
    assert words_of(turns[1]) == [
        "guest: 00001004  ec               in al, dx",
        "kernel: exit reason KVM_EXIT_IO: read 1 byte from port 0x3fd (no device)",
        "user: the C loop answers 0x60",
    ]


def test_the_times_of_a_turn() -> None:
    first, second = record(entered=0, left=70), record(entered=100, left=150, paused=11)
    turns = turns_of([first, second])
    assert [(turn.inside_ns, turn.outside_ns) for turn in turns] == [(70, 19), (50, None)]


def test_each_processor_has_its_own_next_turn() -> None:
    records = [
        record(entered=0, left=10),
        record(entered=5, left=20, vcpu=1),
        record(entered=40, left=50),
        record(entered=90, left=95, vcpu=1),
    ]
    assert [turn.outside_ns for turn in turns_of(records)] == [30, 70, None, None]


def test_calls_belong_to_the_exit_before_them() -> None:
    line = Call("KVM_IRQ_LINE", "VM", {"irq": 4, "level": 1}, 0, 105, 700)
    early, late = line._replace(start=1), line._replace(start=500)
    turns = turns_of(in_a_row(WRITE, READ), calls=[early, line, late])
    shown = "user: ioctl(vm, KVM_IRQ_LINE): 700 ns, line 4 up"
    assert [words_of(turn).count(shown) for turn in turns] == [1, 1]


def test_many_calls_are_counted() -> None:
    line = Call("KVM_IRQ_LINE", "VM", {"irq": 4, "level": 1}, 0, 105, 700)
    (turn,) = turns_of(in_a_row(WRITE), calls=[line] * 9)
    assert words_of(turn)[-1] == "user: and 5 ioctls more: KVM_IRQ_LINE"


def test_lessons_come_once() -> None:
    turns = turns_of(in_a_row(*[WRITE, READ] * 5), [instruction("ee"), instruction("ec")] * 5)
    taught = [line.lesson for turn in turns for line in turn.lines if line.lesson is not None]
    assert len(taught) == len(set(taught)) == 7
    assert lessons.ENTER in taught
    assert lessons.AGAIN in taught
    assert not any(line.lesson for turn in turns[2:] for line in turn.lines)


def test_a_call_may_have_another_sense_while_the_guest_runs() -> None:
    call = Call("KVM_GET_SREGS", "vCPU", dict.fromkeys(SREGS, 0), 0, 105, 700)
    (step,) = tell_setup([call])
    (turn,) = turns_of(in_a_row(WRITE), calls=[call])
    assert step.lesson is not None
    assert turn.lines[-1].lesson is not None
    assert "read first" in step.lesson.why
    assert "to look at" in turn.lines[-1].lesson.why


def test_nothing_is_said_to_be_answered_that_nobody_answered() -> None:
    (turn,) = turns_of([tick()])
    assert words_of(turn) == ["user: ioctl(vcpu, KVM_RUN)", "kernel: a signal ends KVM_RUN (EINTR)"]
    (turn,) = turns_of([record(reason=HLT, count=0, size=0, address=0, value=0, is_write=False)])
    assert words_of(turn)[-1] == "kernel: exit reason KVM_EXIT_HLT"


def test_an_instruction_that_is_not_known_is_not_named() -> None:
    (turn,) = turns_of([record(rip=0, code_width=0)])
    assert "does not share RIP" in words_of(turn)[1]
    (turn,) = turns_of([record()])
    assert words_of(turn)[1] == (
        "guest: near RIP 0x1000, but no instruction found there fits this exit"
    )


def test_an_unclaimed_access_by_python() -> None:
    lost = record(reason=MMIO, address=0xE0000000, size=4, value=7)
    assert words_of(turns_of([lost])[0])[-2:] == [
        "kernel: exit reason KVM_EXIT_MMIO: write 4 bytes, 0x7, to guest-physical 0xe0000000 "
        "(no device)",
        "user: Python finds no device there and drops it",
    ]
    asked = lost._replace(is_write=False, value=0xFFFFFFFF)
    assert words_of(turns_of([asked])[0])[-1] == (
        "user: Python answers 0xffffffff, all ones, since no device is there"
    )


def test_what_repeats_itself_is_folded() -> None:
    turns = turns_of(in_a_row(*[WRITE, READ] * 13, record(address=0xF4, rip=0x1010)))
    told = fold(turns)
    assert [part.number for part in told if isinstance(part, Turn)] == [1, 2, 3, 4, 27]
    (hidden,) = [part for part in told if isinstance(part, Fold)]
    assert (hidden.first, hidden.last, hidden.turns) == (5, 26, 22)
    assert (hidden.inside_ns, hidden.outside_ns) == (2200, 220)
    assert dict(hidden.kinds) == {
        "write to port 0x3f8 (UART), by the C loop": 11,
        "read from port 0x3fd (no device), by the C loop": 11,
    }


def test_all_is_told_when_asked_for() -> None:
    turns = turns_of(in_a_row(*[WRITE, READ] * 100))
    assert fold(turns, full=True) == turns


def test_one_turn_is_not_worth_a_fold() -> None:
    turns = turns_of(in_a_row(WRITE, WRITE, WRITE, READ))
    assert fold(turns) == turns


@given(st.lists(st.sampled_from([WRITE, READ, tick(), record(rip=0x2000)]), max_size=300))
def test_nothing_gets_lost_in_folding(records: list[Record]) -> None:
    turns = turns_of(in_a_row(*records))
    told = fold(turns)
    assert sum(part.turns if isinstance(part, Fold) else 1 for part in told) == len(turns)
    numbers = []
    for part in told:
        numbers += [part.number] if isinstance(part, Turn) else [part.first, part.last]
    assert numbers == sorted(set(numbers))
    if turns:
        assert told[-1] is turns[-1]


def test_a_story_of_many_kinds_ends_somewhere() -> None:
    records = in_a_row(*(record(address=i, rip=0x1000 + 2 * i) for i in range(5000)))
    assert len(fold(turns_of(records))) < 100


def test_the_picture_leaves_out_what_dwarfs_it() -> None:
    records = in_a_row(*[WRITE, READ] * 10)
    slow = [record(entered=0, left=10**9)]
    shifted = [
        r._replace(entered=r.entered + 10**9 + 10, left=r.left + 10**9 + 10) for r in records
    ]
    drawn = to_draw(turns_of(slow + shifted))
    assert [turn.number for turn in drawn] == list(range(2, 10))


def test_the_picture_is_of_one_processor() -> None:
    records = in_a_row(*(record(vcpu=i % 3) for i in range(12)))
    assert {turn.processor for turn in to_draw(turns_of(records))} == {0}
    assert to_draw(()) == ()


def test_the_sums() -> None:
    records = in_a_row(WRITE, READ, tick(), record())
    totals = add_up(records, turns_of(records))
    assert totals == (3, 1, 2, 400, 30)


def hidden(counts: dict[str, int], exits: int, interruptions: int = 0) -> str:
    records = in_a_row(*[record()] * exits, *[tick()] * interruptions)
    return " ".join(tell_hidden(counts, add_up(records, turns_of(records))))


def test_what_kvm_counted() -> None:
    assert "no counts" in hidden({}, 3)
    words = hidden({"exits": 10, "halt_exits": 1}, 4, 2)
    assert "4 of them came out" in words
    assert "the other 6 KVM handled itself" in words
    assert "(2 at the most)" in words
    assert "HLT 1" in words
    assert "All of them" in hidden({"exits": 4}, 4)
    assert "difference says nothing" in hidden({"exits": 3}, 4)


def test_a_host_that_emulates_is_called_so() -> None:
    assert "emulated 690 instructions" in hidden({"exits": 4, "insn_emulation": 690}, 4)
    assert "emulated" not in hidden({"exits": 4, "insn_emulation": 4}, 4).replace(
        "instructions emulated", ""
    )
