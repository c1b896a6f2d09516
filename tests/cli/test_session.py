"""`pykvm run` at a terminal, through a shell: keys, echo, and the terminal afterwards."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
from collections.abc import Callable, Iterator

import pexpect
import psutil
import pytest

from tests.cli.conftest import (
    CRASH,
    ENVIRONMENT,
    HALT,
    LONG,
    PRINT_A_AND_SPIN,
    PYKVM,
    SPIN,
    MakeImage,
)

pytestmark = pytest.mark.needs()

Session = Callable[..., "pexpect.spawn[bytes]"]
PROMPT = rb"Type something; Ctrl-D ends\.\r\n"


@pytest.fixture
def session() -> Iterator[Session]:
    """A shell at a terminal that runs `pykvm run WORDS` and says how the terminal is left."""
    children = []

    def begin(*words: str, before: str = ":", shell: str = "") -> pexpect.spawn[bytes]:
        command = shlex.join([*PYKVM, "run", *words])
        script = (
            f"trap : INT; {before}; before=$(stty -g); {command} {shell}; status=$?; "
            'after=$(stty -g); echo "status=$status before=$before after=$after"'
        )
        child: pexpect.spawn[bytes] = pexpect.spawn(
            "/bin/sh", ["-c", script], env=ENVIRONMENT, timeout=LONG, dimensions=(24, 80)
        )
        child.delaybeforesend = None
        children.append(child)
        return child

    yield begin
    for child in children:
        child.close(force=True)


def ends_with(child: pexpect.spawn[bytes], status: int) -> bytes:
    """The command ends so, and leaves the terminal as it was; returns what came before."""
    child.expect(rb"status=(\d+) before=(\S+) after=(\S+)\r\n")
    before, match = child.before, child.match
    assert before is not None
    assert isinstance(match, re.Match)
    assert b"Traceback" not in before
    assert int(match.group(1)) == status
    assert match.group(2) == match.group(3), "the terminal is not as it was"
    child.expect(pexpect.EOF)
    return before


def pykvm_process(child: pexpect.spawn[bytes]) -> psutil.Process:
    """The command below the shell."""
    (process,) = psutil.Process(child.pid).children()
    return process


def test_what_is_typed_is_not_echoed_but_by_the_guest(session: Session) -> None:
    child = session("echo")
    child.expect(PROMPT)
    child.send(b"abc\r\x7f\x16\x1a")  # Enter, Backspace, Ctrl-V, Ctrl-Z
    child.expect_exact(b"abc\r\r\n\x7f\x16\x1a")
    assert child.before == b""
    child.send(b"\x04")
    assert ends_with(child, 0) == b"Bye.\r\n"


def test_ctrl_a_x_leaves(session: Session, image: MakeImage) -> None:
    child = session(image(PRINT_A_AND_SPIN))
    child.expect_exact(b"A")
    child.send(b"\x01x")
    assert ends_with(child, 130) == b"pykvm: stopped by Ctrl-A x\r\n"


def test_ctrl_a_h_helps_and_the_guest_goes_on(session: Session) -> None:
    child = session("echo")
    child.expect(PROMPT)
    child.send(b"\x01h")
    child.expect(rb"Ctrl-A x +leave")
    for key in (b"p", b"h", b"c", b"Ctrl-A"):
        child.expect_exact(b"Ctrl-A " + key + b" ")
    child.send(b"\x01\x01\x01c\x01z!")
    child.expect_exact(b"\x01\x03\x01z!")
    child.send(b"\x04")
    ends_with(child, 0)


@pytest.mark.needs("irqchip")
def test_ctrl_a_p_presses_the_power_button(session: Session) -> None:
    child = session("power_button")
    child.expect_exact(b"Press the power button.\r\n")
    child.send(b"\x01p")
    assert ends_with(child, 0) == b"Bye.\r\n"


def test_ctrl_c_stops_what_never_leaves_the_guest(session: Session, image: MakeImage) -> None:
    child = session(image(PRINT_A_AND_SPIN))
    child.expect_exact(b"A")
    child.send(b"\x03")
    assert b"pykvm: stopped by SIGINT" in ends_with(child, 130)


@pytest.mark.parametrize("keys", [b"\x01x", b"\x03"])
def test_a_deaf_guest_can_be_left_however_much_was_typed(
    session: Session, image: MakeImage, keys: bytes
) -> None:
    child = session(image(PRINT_A_AND_SPIN))
    child.expect_exact(b"A")
    send_while_reading(child, b"x" * (1 << 17))
    child.send(keys)
    ends_with(child, 130)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)]
)
def test_a_signal_restores_the_terminal(
    session: Session, image: MakeImage, number: signal.Signals, status: int
) -> None:
    child = session(image(PRINT_A_AND_SPIN))
    child.expect_exact(b"A")
    pykvm_process(child).send_signal(number)
    assert b"pykvm: stopped by " + number.name.encode() in ends_with(child, status)


def test_a_crash_restores_the_terminal(session: Session, image: MakeImage) -> None:
    child = session(image(CRASH), "--mode", "protected")
    assert b"pykvm: the guest crashed: " in ends_with(child, 126)


def test_a_time_out_restores_the_terminal(session: Session, image: MakeImage) -> None:
    ends_with(session(image(SPIN), "--timeout", "0.1"), 124)


def test_lost_output_restores_the_terminal(session: Session) -> None:
    before = ends_with(session("hello", shell=">/dev/full"), 125)
    assert before == b"pykvm: cannot write to standard output: No space left on device\r\n"


def test_a_guest_that_halts_restores_the_terminal(session: Session, image: MakeImage) -> None:
    assert ends_with(session(image(HALT)), 0) == b""


def test_the_background_has_no_keyboard(session: Session, image: MakeImage) -> None:
    """It may not read the terminal nor change its modes: either would stop the job."""
    words = (image(PRINT_A_AND_SPIN), "--timeout", "1")
    child = session(*words, before="set -m", shell="</dev/tty & wait $!")
    child.expect_exact(b"A")
    child.send(b"\x01x")
    ends_with(child, 124)


def send_while_reading(child: pexpect.spawn[bytes], data: bytes, end: bytes = b"") -> bytes:
    """Type faster than any hand, and take what is shown meanwhile, until `end` is."""
    shown = b""
    fd = child.child_fd
    os.set_blocking(fd, False)
    rest = memoryview(data)
    while rest or not shown.endswith(end):
        readable, writable, _ = select.select([fd], [fd] if rest else [], [], LONG)
        assert readable or writable, f"nothing moves: {len(rest)} to send, {len(shown)} shown"
        if readable:
            shown += os.read(fd, 1 << 16)
        if writable:
            try:
                rest = rest[os.write(fd, rest[:4096]) :]
            except BlockingIOError:
                continue
    os.set_blocking(fd, True)
    return shown


def test_nothing_of_64_kib_that_are_pasted_is_lost(session: Session) -> None:
    numbered = b"".join(b"%07x " % i for i in range(8192))
    child = session("echo")
    child.expect(PROMPT)
    shown = send_while_reading(child, numbered + b"\x04", end=b"Bye.\r\n")
    assert shown == numbered + b"Bye.\r\n"
    ends_with(child, 0)
