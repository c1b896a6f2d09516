"""`pykvm run --reboot`: what a guest's reset, or its triple fault, does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pykvm.cli import main
from tests.cli.conftest import RESET, MakeImage, Pykvm, Result, Start, finish, read_some
from tests.cli.test_json import parse
from tests.support.leaks import nothing_left_behind

pytestmark = pytest.mark.needs()

RESTARTS = 200

PRINT_A = (
    "ba f8 03",  # mov dx, 0x3f8
    "b0 41",  # mov al, 'A'
    "ee",  # out dx, al
)
PRINT_A_AND_RESET = (*PRINT_A, *RESET)
RESET_BY_PORT_92 = (
    "b0 01",  # mov al, 1
    "e6 92",  # out 0x92, al
)
RESET_BY_PORT_CF9 = (
    "ba f9 0c",  # mov dx, 0xcf9
    "b0 06",  # mov al, 6
    "ee",  # out dx, al
)
WAIT_FOR_INPUT = (
    "ba fd 03",  # mov dx, 0x3fd
    "ec",  # in al, dx
    "a8 01",  # test al, 1
    "74 fb",  # jz to the in
)
ECHO_ONE = (
    *WAIT_FOR_INPUT,
    "ba f8 03",  # mov dx, 0x3f8
    "ec",  # in al, dx
    "ee",  # out dx, al
)
END_AT_DOT = (
    "3c 2e",  # cmp al, '.'
    "75 01",  # jne over it
    "f4",  # hlt
)
ECHO_AND_RESET = (*ECHO_ONE, *END_AT_DOT, *RESET)


@pytest.mark.parametrize("words", ["", "--reboot exit"])
def test_a_reset_is_the_end_by_default(pykvm_command: Pykvm, image: MakeImage, words: str) -> None:
    result = pykvm_command("run", image(PRINT_A_AND_RESET), *words.split())
    assert (result.status, result.out) == (0, b"A")
    assert result.complaint.startswith("the guest asked for a reset through")


@pytest.mark.parametrize("reset", [RESET, RESET_BY_PORT_92, RESET_BY_PORT_CF9])
@pytest.mark.parametrize("irqchip", ["kernel", "user", "none"])
def test_each_guest_gets_the_input_that_those_before_it_left(
    pykvm_command: Pykvm, image: MakeImage, reset: tuple[str, ...], irqchip: str
) -> None:
    path = image((*ECHO_ONE, *END_AT_DOT, *reset))
    words = ("--reboot", "restart", "--irqchip", irqchip)
    assert pykvm_command("run", path, *words, stdin=b"abc.never") == Result(0, b"abc.", "")


@pytest.mark.needs("triple_fault")
def test_a_triple_fault_is_a_reset(start: Start) -> None:
    child = start("run", "triple_fault", "--reboot", "restart")
    for _ in range(3):
        read_some(child.stdout, b"Triple fault ahead.\n")
    child.send_signal(signal.SIGINT)
    assert finish(child).status == 130


def test_another_crash_is_none(pykvm_command: Pykvm, image: MakeImage) -> None:
    """What no device answers crashes a strict machine, whatever `--reboot` says."""
    path = image(
        (
            "e4 30",  # in al, 0x30
        )
    )
    assert pykvm_command("run", path, "--strict", "--reboot", "restart").status == 126


def test_everything_is_new(pykvm_command: Pykvm, image: MakeImage) -> None:
    """RAM and a register of the UART are as at the start, though the guest before wrote them."""
    path = image(
        (
            *ECHO_ONE,
            *END_AT_DOT,
            "ba ff 03",  # mov dx, 0x3ff (SCR)
            "ec",  # in al, dx
            "0a 06 00 30",  # or al, [0x3000]
            "75 0a",  # jnz to the hlt
            "b0 55",  # mov al, 0x55
            "ee",  # out dx, al
            "a2 00 30",  # mov [0x3000], al
            *RESET[:2],
            "f4",  # hlt
        )
    )
    assert pykvm_command("run", path, "--reboot", "restart", stdin=b"abc.").out == b"abc."


def test_the_image_is_read_anew(start: Start, image: MakeImage) -> None:
    path = image((*PRINT_A, *WAIT_FOR_INPUT, *RESET))
    child = start("run", path, "--reboot", "restart", stdin=subprocess.PIPE)
    read_some(child.stdout, b"A")
    image(
        (
            "b0 05",  # mov al, 5
            "e6 f4",  # out 0xf4, al
        )
    )
    assert finish(child, b"x").status == 11


def test_an_image_that_has_gone_is_told(start: Start, image: MakeImage) -> None:
    path = image((*PRINT_A, *WAIT_FOR_INPUT, *RESET))
    child = start("run", path, "--reboot", "restart", stdin=subprocess.PIPE)
    read_some(child.stdout, b"A")
    Path(path).unlink()
    result = finish(child, b"x")
    assert result.status == 125
    assert result.complaint == f"{path}: No such file or directory"


def test_json_counts_all_runs(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(ECHO_AND_RESET)
    members = parse(pykvm_command("run", path, "--reboot", "restart", "--json", stdin=b"abc."))
    assert members["reason"] == "halted"
    assert members["output"] == "abc."
    assert members["restarts"] == 3
    assert members["ports"]["0x64"] == 3
    assert members["ports"]["0x3f8"] == 8


def test_stats_tell_of_restarts(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(ECHO_AND_RESET)
    result = pykvm_command("run", path, "--reboot", "restart", "--stats", stdin=b"abc.")
    assert "started anew 3 times" in result.err


def test_the_time_out_is_that_of_all_runs(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(RESET)
    words = ("--reboot", "restart", "--timeout", "0.5", "--json")
    members = parse(pykvm_command("run", path, *words))
    assert members["status"] == 124
    assert members["seconds"] >= 0.5


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_one_that_resets_for_ever(
    start: Start, image: MakeImage, number: signal.Signals, status: int
) -> None:
    child = start("run", image(PRINT_A_AND_RESET), "--reboot", "restart")
    read_some(child.stdout, b"AAA")
    child.send_signal(number)
    result = finish(child)
    assert result.status == status
    assert result.err == f"pykvm: stopped by {number.name}\n"


@pytest.mark.parametrize("irqchip", ["kernel", "split", "user", "none"])
def test_many_restarts_leave_nothing_behind(
    image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    irqchip: str,
) -> None:
    path = image(ECHO_AND_RESET)

    def run(restarts: int) -> None:
        read, write = os.pipe()
        os.write(write, b"x" * restarts + b".")
        os.close(write)
        with monkeypatch.context() as patch, os.fdopen(read) as stream:
            patch.setattr(sys, "stdin", stream)
            words = ["run", path, "--reboot", "restart", "-m", "64K", "--irqchip", irqchip]
            assert main(words) == 0
        assert capfd.readouterr().out == "x" * restarts + "."

    run(1)  # imports open what stays open
    with nothing_left_behind():
        # controllers cost the kernel some 20 ms
        run(RESTARTS // 4 if irqchip == "kernel" else RESTARTS)
