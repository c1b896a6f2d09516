"""Why a machine stopped, as a value."""

from __future__ import annotations

from enum import Enum

from pykvm.devices.debug_exit import exit_status
from pykvm.named import NamedTuple

EXIT_TIMEOUT = 124
EXIT_NOT_BOOTED = 125
EXIT_CRASH = 126
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class StopReason(Enum):
    """What ended a run."""

    HALTED = "halted"
    """HLT with nothing that could wake the processor."""
    DEBUG_EXIT = "debug-exit"
    """A write to the debug-exit device; `Stop.value` is what was written."""
    POWER_OFF = "power-off"
    """The guest switched the machine off, through ACPI."""
    RESET = "reset"
    """The guest asked for a reset; `Stop.detail` says through what."""
    TIMEOUT = "timeout"
    """The deadline passed."""
    BUDGET = "budget"
    """As many exits were taken as were allowed."""
    NOT_BOOTED = "not-booted"
    """The BIOS found nothing to boot from."""
    STOPPED = "stopped"
    """`Machine.stop` was called."""
    INTERRUPTED = "interrupted"
    """The user at the terminal ended it."""
    TERMINATED = "terminated"
    """The process was told to end (SIGTERM, SIGHUP)."""
    DEBUG = "debug"
    """A breakpoint, a watchpoint or the end of a step that `Vcpu.set_guest_debug` asked for."""


_STATUS = {
    StopReason.NOT_BOOTED: EXIT_NOT_BOOTED,
    StopReason.TIMEOUT: EXIT_TIMEOUT,
    StopReason.INTERRUPTED: EXIT_INTERRUPTED,
    StopReason.TERMINATED: EXIT_TERMINATED,
}


class Stop(NamedTuple):
    """The end of a run.

    Attributes:
        reason: why.
        value: what the guest wrote to the debug-exit device; else 0.
        detail: more words, possibly none.
    """

    reason: StopReason
    value: int = 0
    detail: str = ""

    @property
    def status(self) -> int:
        """The exit status that `pykvm run` ends with (0 to 255)."""
        if self.reason is StopReason.DEBUG_EXIT:
            return exit_status(self.value)
        return _STATUS.get(self.reason, 0)


ALL_ASLEEP = Stop(StopReason.HALTED, detail="every processor was found asleep at its last tick")
"""What a processor supposes.  Known by identity: whoever takes it looks again."""

TRAPPED = Stop(StopReason.DEBUG, detail="a processor met what it is debugged for")
"""Which one, and why, is kept by who debugs it: several may at once."""


class StopRequest:
    """Where whoever wants the machine to stop leaves word: its processors, devices, other threads
    and signal handlers.

    The first word counts, until it is taken; that all are asleep is but supposed, and that one is
    trapped is known elsewhere: both give way to any word that comes meanwhile.  Every
    processor stops as long as one `is_waiting`; who runs them all takes it when all have stopped.

    Attributes:
        words: what was said, to be looked at only: a processor does so before each entry, and a
            dictionary that is empty costs it no call.
    """

    # a dictionary's setdefault and pop are atomic; a lock would deadlock where a signal handler
    # posts in the thread that is just holding it
    __slots__ = ("words",)

    def __init__(self) -> None:
        self.words: dict[str, Stop | Exception] = {}

    def post(self, stop: Stop) -> None:
        """Ask for a stop; without effect while an earlier one is waiting."""
        self.words.setdefault("stop", stop)

    def fail(self, error: Exception) -> None:
        """Ask for a stop with `error`; without effect while an earlier word is waiting."""
        self.words.setdefault("stop", error)

    def suppose_asleep(self) -> None:
        """Have the processors stop, to see whether all of them sleep for ever."""
        self.words.setdefault("asleep", ALL_ASLEEP)

    def note_trap(self) -> None:
        """Have the processors stop, since one of them met what it is debugged for."""
        self.words.setdefault("trap", TRAPPED)

    @property
    def is_waiting(self) -> bool:
        """Whether there is a word to take."""
        return bool(self.words)

    def take(self) -> Stop | None:
        """The stop that was asked for, once, or `TRAPPED` or `ALL_ASLEEP`; None if there is none.

        Raises:
            Exception: the one of `fail`, if that was the word.
        """
        if not self.words:
            return None
        supposed = self.words.pop("asleep", None)
        trap = self.words.pop("trap", supposed)
        word = self.words.pop("stop", trap)
        if isinstance(word, Exception):
            raise word
        return word
