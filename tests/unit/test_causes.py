"""What an exit means: go on, stop, or one sentence of why the guest is lost."""

from __future__ import annotations

import inspect
import re

import pytest

from pykvm.cpu.causes import explain, harmless, requested_stop
from pykvm.cpu.snapshot import CpuSnapshot
from pykvm.cpu.stop import Stop, StopReason
from pykvm.kvm import exits
from pykvm.x86 import Mode
from tests.unit.snapshots import snapshot

LOST = snapshot(Mode.PROTECTED, 0xDEAD_0000, code=b"")
HANDLED = snapshot(Mode.LONG, idt_limit=0xFFF)
EVERY_EXIT = [
    cls
    for _, cls in inspect.getmembers(exits, inspect.isclass)
    if issubclass(cls, exits.Exit) and cls is not exits.Exit
]


def make(cls: type[exits.Exit]) -> exits.Exit:
    """An exit of a class, all its fields 0, empty or False."""
    zeros = {"int": 0, "bool": False, "bytes": b"", "tuple[int, ...]": ()}
    names = inspect.signature(cls).parameters.values()
    return cls(**{p.name: zeros[p.annotation] for p in names})


HARMLESS = {"Intr", "IrqWindowOpen", "SetTpr", "Nmi", "BusLock"}


def test_only_what_needs_no_answer_is_harmless() -> None:
    assert {cls.__name__ for cls in EVERY_EXIT if harmless(make(cls))} == HARMLESS


@pytest.mark.parametrize("cls", EVERY_EXIT, ids=lambda cls: cls.__name__)
def test_every_exit_can_be_explained_in_one_line(cls: type[exits.Exit]) -> None:
    for cpu in (LOST, HANDLED, snapshot(Mode.REAL)):
        sentence = explain(make(cls), cpu)
        assert sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("type_", "stop"),
    [
        (1, Stop(StopReason.HALTED, detail="shut down through KVM")),
        (2, Stop(StopReason.RESET, detail="KVM")),
        (3, None),
        (0, None),
        (99, None),
    ],
)
def test_what_the_guest_asks_kvm_for(type_: int, stop: Stop | None) -> None:
    assert requested_stop(exits.SystemEvent(type_, ())) == stop


def test_other_exits_ask_for_nothing() -> None:
    others = [cls for cls in EVERY_EXIT if cls is not exits.SystemEvent]
    assert not [cls for cls in others if requested_stop(make(cls)) is not None]


@pytest.mark.parametrize(
    ("exit_", "cpu", "words"),
    [
        (
            exits.Shutdown(),
            snapshot(Mode.PROTECTED, idt_limit=0),
            r"triple fault: .* no interrupt descriptor table \(IDT limit 0x0\)",
        ),
        (
            exits.Shutdown(),
            snapshot(Mode.LONG, idt_limit=7),
            "triple fault: an exception came, and",
        ),
        (
            exits.InternalError(1, (), b""),
            snapshot(Mode.LONG, idt_limit=0xFFF),
            r"could not emulate the instruction at RIP \(in long mode, 64-bit code\)",
        ),
        (exits.InternalError(1, (), b""), LOST, "there is no RAM at 0xdead0000"),
        (
            exits.InternalError(3, (), b""),
            snapshot(Mode.PROTECTED),
            r"while an event was being delivered.*no interrupt descriptor table",
        ),
        (
            exits.InternalError(3, (), b""),
            snapshot(Mode.REAL, idt_limit=3),
            "in real mode, 16-bit code",
        ),
        (exits.InternalError(77, (), b""), HANDLED, "KVM's internal error 77"),
        (exits.FailEntry(0x8000_0021, 3), HANDLED, "its state is invalid .*0x80000021"),
        (exits.UnknownExit(1234), HANDLED, "reason 1234, which pykvm does not know"),
        (exits.Xen(1, True, 0, 2, ()), HANDLED, r"has not: Xen\("),
    ],
)
def test_the_sentence_says_what_happened(exit_: exits.Exit, cpu: CpuSnapshot, words: str) -> None:
    sentence = explain(exit_, cpu)
    assert re.search(words, sentence), sentence
