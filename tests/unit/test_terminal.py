"""The escape key, and a terminal that is raw for a while."""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.cli.terminal import EscapeFilter, KeyAction, RawTerminal, is_foreground

LEAVE, HELP, BUTTON = KeyAction.LEAVE, KeyAction.HELP, KeyAction.POWER_BUTTON


@pytest.mark.parametrize(
    ("typed", "passed", "actions"),
    [
        (b"", b"", []),
        (b"hello\x03\x04\xff\0", b"hello\x03\x04\xff\0", []),
        (b"a\x01xb", b"ab", [LEAVE]),
        (b"\x01X", b"", [LEAVE]),
        (b"\x01h\x01H\x01?", b"", [HELP, HELP, HELP]),
        (b"\x01c\x01C", b"\x03\x03", []),
        (b"\x01p\x01P", b"", [BUTTON, BUTTON]),
        (b"\x01\x01", b"\x01", []),
        (b"\x01\x01x", b"\x01x", []),
        (b"\x01\x01\x01x", b"\x01", [LEAVE]),
        (b"\x01q", b"\x01q", []),
        (b"x\x01", b"x", []),
        (b"\x01h\x01x", b"", [HELP, LEAVE]),
    ],
)
def test_what_keys_mean(typed: bytes, passed: bytes, actions: list[KeyAction]) -> None:
    assert EscapeFilter().feed(typed) == (passed, actions)


typing = st.lists(st.sampled_from([b"\x01", b"x", b"h", b"c", b"?", b"\0"]) | st.binary(max_size=3))


@given(pieces=typing)
def test_pieces_mean_what_the_whole_does(pieces: list[bytes]) -> None:
    whole = EscapeFilter().feed(b"".join(pieces))
    filter_ = EscapeFilter()
    passed = b""
    actions = []
    for piece in pieces:
        got, asked = filter_.feed(piece)
        passed += got
        actions += asked
    assert (passed, actions) == whole


@given(typed=st.binary())
def test_doubled_escape_keys_let_everything_pass(typed: bytes) -> None:
    assert EscapeFilter().feed(typed.replace(b"\x01", b"\x01\x01")) == (typed, [])


class Pty:
    """A pseudo-terminal: the user's end, and the end that a program has."""

    def __init__(self) -> None:
        self.user, self.program = os.openpty()

    def typed(self, keys: bytes) -> bytes:
        """What the program can read once the user has typed `keys`, in one go."""
        os.write(self.user, keys)
        return self._available(self.program)

    def shown(self, output: bytes) -> bytes:
        """What the user sees of `output`."""
        os.write(self.program, output)
        return self._available(self.user)

    def seen(self) -> bytes:
        """What the user sees without the program having written anything."""
        return self._available(self.user)

    @staticmethod
    def _available(fd: int) -> bytes:
        # the kernel moves bytes from one end to the other in a work queue: wait for the first
        ready, _, _ = select.select([fd], [], [], 0.5)
        return os.read(fd, 4096) if ready else b""


@pytest.fixture
def pty() -> Iterator[Pty]:
    pair = Pty()
    yield pair
    for fd in (pair.user, pair.program):
        with suppress(OSError):  # a test closed it
            os.close(fd)


@pytest.mark.parametrize(
    "keys",
    [
        b"a",  # before a line is complete
        b"\r",  # not turned into a line feed
        b"\n",
        b"\x04",  # Ctrl-D: not the end of the input
        b"\x08\x7f\x15\x17",  # no line editing
        b"\x11\x13",  # Ctrl-Q, Ctrl-S
        b"\x16",  # Ctrl-V
        b"\x1a\x1c",  # Ctrl-Z, Ctrl-\
        b"\x80\xff",
    ],
)
def test_every_key_arrives_at_once_and_unechoed(pty: Pty, keys: bytes) -> None:
    with RawTerminal(pty.program):
        assert pty.typed(keys) == keys
        assert pty.shown(b"!") == b"!", "an echo, or nothing at all"


def test_ctrl_c_interrupts_instead(pty: Pty) -> None:
    with RawTerminal(pty.program):
        assert pty.typed(b"\x03a") == b"a"
        assert termios.tcgetattr(pty.program)[3] & termios.ISIG


def test_a_line_feed_still_begins_a_new_line(pty: Pty) -> None:
    with RawTerminal(pty.program):
        assert pty.shown(b"a\nb") == b"a\r\nb"


def test_the_terminal_is_restored(pty: Pty) -> None:
    before = termios.tcgetattr(pty.program)
    before[6][termios.VINTR] = b"\x0b"  # somebody's own setting
    before[0] ^= termios.IXANY
    termios.tcsetattr(pty.program, termios.TCSANOW, before)
    before = termios.tcgetattr(pty.program)
    with RawTerminal(pty.program):
        assert termios.tcgetattr(pty.program) != before
    assert termios.tcgetattr(pty.program) == before


def test_the_terminal_is_restored_after_a_failure(pty: Pty) -> None:
    before = termios.tcgetattr(pty.program)
    with pytest.raises(KeyboardInterrupt), RawTerminal(pty.program):
        raise KeyboardInterrupt
    assert termios.tcgetattr(pty.program) == before


def test_a_terminal_that_was_hung_up_needs_no_restoring(pty: Pty) -> None:
    """As when its window is closed: the run ends by SIGHUP, and in good order."""
    with RawTerminal(pty.program):
        os.close(pty.user)


def test_what_is_no_terminal_is_refused() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            RawTerminal(read)
    finally:
        os.close(read)
        os.close(write)


def test_what_is_in_the_foreground(pty: Pty) -> None:
    assert not is_foreground(-1)
    assert is_foreground(pty.program)  # nobody's controlling terminal: no job control there
    with Path(os.devnull).open("rb") as null:
        assert not is_foreground(null.fileno())
    os.close(pty.user)
    assert not is_foreground(pty.program)


PROGRAM = """
import os
from pykvm.cli.terminal import is_foreground
print("in front", is_foreground(0), flush=True)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    print("behind", is_foreground(0), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_the_foreground_is_the_terminals_own_process_group() -> None:
    child = pexpect.spawn(sys.executable, ["-c", PROGRAM], encoding="ascii", timeout=30)
    child.expect(pexpect.EOF)
    child.close()
    assert (child.before or "").split("\r\n") == ["in front True", "behind False", ""]
