"""The process in which a student's code runs: a copy of the judge's, made by `Work`.

It limits itself, does what it is to do, and says what came of it on the message pipe, between two
tokens that the student's code has no reason to look for.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from pykvm.labs.steps import Wrong

LARGEST_RESULT = 1 << 19
FILE_SIZE = 64 << 20
DESCRIPTORS = 256
FRAMES = 3
"""How many places of a traceback are told."""


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        token: what the answer stands between.
        scenario: called with a `Student` and `args`.
        args: plain values.
        folder: the student's.
        seconds: how much processor time it may take, but for two seconds more.
        memory: how many bytes of address space it may take beyond what Python and pykvm have.
    """

    token: str
    scenario: Callable[..., Any]
    args: tuple[Any, ...]
    folder: Path
    seconds: float
    memory: int


class Student:
    """What a scenario gets: the student's folder, from within the student's process.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, name: str) -> ModuleType:
        """The student's file `name` as a module; it is run once.

        Raises:
            Exception: whatever the file raises.
        """
        stem, path = name.removesuffix(".py"), self.folder / name
        there = sys.modules.get(stem)
        # not one of Python's own that has the same name
        if there is not None and getattr(there, "__file__", None) == str(path):
            return there
        spec = importlib.util.spec_from_file_location(stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[stem] = module
        # bytecode would lie about in the student's folder
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = writes
        return module

    def get(self, name: str, what: str) -> Any:
        """The function, class or value `what` of the student's file `name`.

        Raises:
            Wrong: the file has none.
        """
        module = self.load(name)
        if not hasattr(module, what):
            raise Wrong(f"{name} has no {what}: the starter has it, did its name change?")
        return getattr(module, what)


def call(student: Student, name: str, what: str, *args: Any) -> Any:
    """The scenario of `Work.call`: call one function."""
    return student.get(name, what)(*args)


def do(job: Job, pipe: int) -> NoReturn:
    """Do one thing in the student's folder, the current directory, and end the process."""
    _limit(job.memory, job.seconds)
    own = os.getpid()
    # behind Python's own modules: a random.py of the student's must not be taken for Python's
    sys.path.append(str(job.folder))
    answer = _answer(job, Student(job.folder))
    if os.getpid() == own:
        _say(pipe, job.token, answer)
    # neither its atexit functions nor its threads have a say in how this ends
    _leave()


def _leave() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(0)


def _limit(memory: int, seconds: float) -> None:
    processor_seconds = int(seconds) + 2
    there = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, limit in (
        (resource.RLIMIT_AS, there + memory),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (least, least))


def _answer(job: Job, student: Student) -> tuple[str, ...]:
    """("returned", repr) or ("wrong", why, look) or ("raised", words)."""
    try:
        result = repr(_with_plain_bytes(job.scenario(student, *job.args)))
    except Wrong as wrong:
        return ("wrong", wrong.why, wrong.look)
    except SystemExit as end:
        return ("raised", f"the code ended its process: sys.exit({end.code!r})")
    except BaseException as error:
        return ("raised", _words(error, student.folder))
    if len(result) > LARGEST_RESULT:
        return ("raised", f"what was returned is {len(result)} characters long")
    return ("returned", result)


def _with_plain_bytes(value: Any) -> Any:
    """The same with bytes for what is as good: a student who returns a bytearray is right."""
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if type(value) in {list, tuple}:
        return type(value)(_with_plain_bytes(item) for item in value)
    if type(value) is dict:
        return {key: _with_plain_bytes(item) for key, item in value.items()}
    return value


def _words(error: BaseException, folder: Path) -> str:
    """What was raised, and where in the student's files."""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:
        said = ""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{name}: {Path(error.filename).name}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == folder]
    where = "; ".join(
        f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}: {frame.line}"
        for frame in own[-FRAMES:]
    )
    words = f"{name}: {said}" if said else name
    return f"{words[:500]} ({where})" if where else words[:500]


def _say(pipe: int, token: str, answer: tuple[str, ...]) -> None:
    rest = memoryview(f"{token}{answer!r}{token}".encode(errors="backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(pipe, rest) :]
    except OSError:
        return  # it closed descriptors that are not its own: nothing can be said
