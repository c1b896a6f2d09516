"""An instruction reads a device so often and no more."""

from __future__ import annotations

from itertools import count

from pykvm.emu.rereads import MOST_READS, Rereads


def test_the_device_is_asked_so_often_and_then_the_last_answer_is_repeated() -> None:
    rereads, answers = Rereads(), count(1)
    read = [rereads.read(7, 0x1000, 4, lambda: next(answers)) for _ in range(5)]
    assert read == [1, 2, 2, 2, 2]
    assert MOST_READS == 2


def test_addresses_and_sizes_are_counted_apart() -> None:
    rereads, answers = Rereads(), count(1)
    places = [(0x1000, 4), (0x1004, 4), (0x1000, 4), (0x1004, 4), (0x1000, 1)]
    read = [rereads.read(7, gpa, size, lambda: next(answers)) for gpa, size in places]
    assert read == [1, 2, 3, 4, 5]


def test_the_next_instruction_begins_anew() -> None:
    rereads, answers = Rereads(), count(1)
    read = [rereads.read(at // 3, 0x1000, 4, lambda: next(answers)) for at in range(6)]
    assert read == [1, 2, 2, 3, 4, 4]
