"""A student's work, as a checker sees it: code to call, sources to assemble, guests to run.

All that the student wrote runs in processes of its own, with limits: a checker gets plain values
back or a `Wrong` that says what happened, whatever the code did.
"""

from __future__ import annotations

import random
import secrets
import signal
from ast import literal_eval
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pykvm.labs import child, student
from pykvm.labs.catalogue import Lab
from pykvm.labs.copy import Copy
from pykvm.labs.guest_runs import Run, run_image
from pykvm.labs.steps import Wrong
from pykvm.labs.toolchain import AssemblyError, assemble

SECONDS = 10.0
MEMORY = 1 << 30
EMULATOR_MEMORY = 3 << 29
"""How much more a process may have that emulates: for Unicorn's library, and what it sets aside for
each processor's code (`pykvm.emu.hooks.CODE_BUFFER`)."""


class Work:
    """One student's folder.

    Args:
        folder: it.
        lab: which lab it is of.
        seed: of `random`.
        scratch: an empty folder that is deleted after the check.
        emulated: whether machines are emulated here, as there is no /dev/kvm.

    Attributes:
        folder, lab, scratch, emulated: as given.
        random: where a checker takes its random guests from; each step starts it anew.
        printed: what the student's code has printed in this step.
    """

    def __init__(
        self, folder: Path, lab: Lab, seed: int, scratch: Path, *, emulated: bool = False
    ) -> None:
        self.folder = folder
        self.lab = lab
        self.scratch = scratch
        self.random = random.Random(seed)
        self.printed = ""
        self.emulated = emulated
        self._more_memory = EMULATOR_MEMORY if emulated else 0

    def call(
        self, file: str, function: str, *args: Any, seconds: float = SECONDS, memory: int = MEMORY
    ) -> Any:
        """Call a function of the student's in a process of its own.

        Args:
            file: its file: "vm.py".
            function: its name.
            args: plain values: None, bool, int, float, str, bytes, and lists, tuples, dicts and
                sets of them.
            seconds: how long it may take.
            memory: how many bytes of address space the process may have.

        Returns:
            what the function returned, which must be a plain value, too.

        Raises:
            Wrong: it raised something, took too long, ended its process, ...
        """
        self.require_file(file)
        return self._do(student.call, (file, function, *args), f"{function}()", seconds, memory)

    def scenario(
        self,
        function: Callable[..., Any],
        *args: Any,
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ) -> Any:
        """Call a function of the *checker's* in the student's process: `function(student, *args)`.

        For what needs more than one call: a device on a machine, two objects that talk.  It gets
        a `Student`, may raise `Wrong`, and returns a plain value; the student's code may have
        tampered with anything there, so let it return what happened and judge that outside.

        Args:
            function: of a module's top level.
            args, seconds, memory: as for `call`.

        Raises:
            Wrong: as `call`.
        """
        return self._do(function, args, "the code", seconds, memory)

    def assemble(self, file: str) -> bytes:
        """The flat image of a student's assembly source, as `lab.toml` says it is entered.

        Raises:
            Wrong: it does not assemble.
        """
        self.require_file(file)
        try:
            return assemble(self.folder / file, self.lab.guests[file])
        except AssemblyError as error:
            raise Wrong(f"{file} does not assemble: {error}") from None

    def run(self, image: bytes, mode: str = "real", *, seconds: float = 5.0, **options: Any) -> Run:
        """Run a guest image on a `Machine` to its end, in a process of its own.

        Args:
            image: flat, loaded at 0x1000.
            mode: "real", "protected" or "long".
            seconds: after which the guest is stopped: `Run.reason` is "timeout" then.
            options: `memory`, `serial`, `ram`, `want`, `smp`, ...: see `guest_runs.run_image`.
        """
        found = self._do(
            run_image, (image, mode, {"seconds": seconds, **options}), "the guest", seconds + 10
        )
        return Run(**found)

    def require_file(self, name: str) -> None:
        """`Wrong` if the student's folder lacks a file."""
        if not (self.folder / name).is_file():
            raise Wrong(f"{name} is missing from {self.folder}")

    def _do(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        what: str,
        seconds: float,
        memory: int = MEMORY,
    ) -> Any:
        token = secrets.token_hex(16)
        job = student.Job(token, function, args, self.folder, seconds, memory + self._more_memory)

        def start(pipe: int) -> child.Process:
            return Copy(partial(student.do, job), pipe, self.folder)

        ended = child.run(start, seconds=seconds)
        child.sweep()
        self.printed += ended.printed
        _, *said = ended.message.rsplit(token.encode(), 2)
        if len(said) < 2 or ended.trouble:
            raise Wrong(f"{what} {_end_of(ended)}")
        match _literal(said[0].decode(errors="replace")):
            case ("wrong", str(why), str(look)):
                raise Wrong(why, look)
            case ("raised", str(words)):
                raise Wrong(f"{what} raised {words}")
            case ("returned", str(words)):
                value = _literal(words)
                if value is not _NO_LITERAL:
                    return value
                raise Wrong(f"{what} returned {words[:200]}, which is no plain value")
        raise Wrong(f"{what} {_end_of(ended)}")


_NO_LITERAL = object()


def _literal(words: str) -> Any:
    """The plain value, if they are one; whoever wrote them may mean ill."""
    try:
        return literal_eval(words)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NO_LITERAL


def _end_of(ended: child.Ended) -> str:
    """How a process ended that did not say what it found."""
    if ended.trouble.startswith("longer"):
        return f"took {ended.trouble}: a loop that does not end, or a guest that nobody stops?"
    if ended.trouble:
        return f"started {ended.trouble}"
    if ended.status == -signal.SIGXCPU:
        return "used up its processor time: a loop that does not end?"
    if ended.status < 0:
        return f"died of {signal.Signals(-ended.status).name}: look at pointers and memory limits"
    if ended.status:
        return f"ended its process with status {ended.status}"
    return "ended its process instead of returning, or used descriptors that are not its own"
