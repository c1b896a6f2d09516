"""What clients say of how the guest goes on: which processors run, step, or stay as they are.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "Packets".
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.gdb.packets import EINVAL, PacketError, number

ACTIONS = b"vCont;c;C;s;S"
"""The reply to `vCont?`."""


class Resume(NamedTuple):
    """How the guest goes on; the arguments of `Debugger.resume`.

    Attributes:
        step: the processors that execute one instruction.
        only: those that run at all; None for all.
    """

    step: frozenset[int] = frozenset()
    only: frozenset[int] | None = None


def parse_thread(text: bytes, processors: int) -> int | None:
    """Which processor a thread-id means; None for all or any (-1 and 0).

    Raises:
        PacketError: there is no such thread.
    """
    if text in (b"-1", b"0"):
        return None
    thread = number(text)
    if not 1 <= thread <= processors:
        raise PacketError(EINVAL, f"no thread {thread}")
    return thread - 1


def parse_vcont(actions: bytes, processors: int) -> Resume:
    """What `vCont;ACTIONS` means: for each thread, the first action that is for it counts.

    Args:
        actions: what is behind the first semicolon.
        processors: how many there are.

    Raises:
        PacketError: an action that is not in `ACTIONS`, a thread that is not there, or nothing
            that runs.
    """
    found: dict[int, bool] = {}
    for text in actions.split(b";"):
        action, colon, thread = text.partition(b":")
        steps = _steps(action)
        processor = parse_thread(thread, processors) if colon else None
        meant = range(processors) if processor is None else (processor,)
        for one in meant:
            found.setdefault(one, steps)
    only = None if len(found) == processors else frozenset(found)
    return Resume(frozenset(one for one, steps in found.items() if steps), only)


def _steps(action: bytes) -> bool:
    """Whether it is a step, not a run; signals, which a guest has not, are passed over."""
    letter, signal = action[:1], action[1:]
    if letter not in b"cCsS" or letter == b"" or (letter in b"CS") != bool(signal):
        raise PacketError(EINVAL, "no such action")
    if signal:
        number(signal, 8)
    return letter in b"sS"


def with_signal(letter: bytes, rest: bytes) -> bytes:
    """What `c`, `C`, `s` or `S` has behind its signal, if it has one: an address or nothing.

    Raises:
        PacketError: it has no signal where one belongs.
    """
    if letter in b"cs":
        return rest
    signal, _, address = rest.partition(b";")
    number(signal, 8)
    return address


def of_thread(processor: int | None, current: int, *, steps: bool) -> Resume:
    """What `c` and `s` mean.

    Args:
        processor: the one of the last `Hc` packet; None for all.
        current: the one that a step of all steps.
        steps: whether it is a step.
    """
    if processor is None:
        return Resume(frozenset({current}) if steps else frozenset())
    return Resume(frozenset({processor}) if steps else frozenset(), frozenset({processor}))
