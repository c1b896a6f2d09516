"""The object of `pykvm run --json`, as docs/json.md has it."""

from __future__ import annotations

import base64
import json
import signal
from typing import Any

import pytest

from pykvm.cli.report import as_object
from pykvm.cli.run import Outcome
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.sinks import BufferSink
from tests.cli.conftest import (
    CRASH,
    EXIT_5,
    PRINT_A,
    RESET,
    SPIN,
    UNCLAIMED,
    MakeImage,
    Pykvm,
    Result,
    Start,
    finish,
)

needs_kvm = pytest.mark.needs()

ALWAYS = {"status": int, "reason": str}
RAN = {
    "seconds": float,
    "restarts": int,
    "exits": dict,
    "ports": dict,
    "guest_seconds": float,
    "userspace_seconds": float,
    "unclaimed": list,
}
BY_REASON: dict[str, dict[str, type]] = {
    "halted": {},
    "reset": {"detail": str},
    "debug-exit": {"value": int},
    "timeout": {},
    "crash": {"crash": dict},
    "interrupted": {"detail": str},
    "terminated": {"detail": str},
    "error": {"error": str},
}


def parse(result: Result, *, began: bool = True, serial: bool = True) -> dict[str, Any]:
    """The one object on standard output, its members checked."""
    assert result.out.endswith(b"\n")
    assert result.out.count(b"\n") == 1
    members: dict[str, Any] = json.loads(result.out)
    kinds = ALWAYS | BY_REASON[members["reason"]]
    if began:
        kinds |= RAN
        if serial:
            kinds["output"] = str
            if "output_base64" in members:
                kinds["output_base64"] = str
    assert {name: type(value) for name, value in members.items()} == kinds
    assert members["status"] == result.status
    return members


@needs_kvm
def test_a_guest_that_halts(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(PRINT_A), "--json")
    members = parse(result)
    assert (result.status, result.err) == (0, "")
    assert (members["reason"], members["output"]) == ("halted", "A")
    assert members["exits"] == {"KVM_EXIT_IO": 1}
    assert members["ports"] == {"0x3f8": 1}
    assert members["unclaimed"] == []
    assert 0 < members["guest_seconds"] <= members["seconds"] < 60
    assert 0 < members["userspace_seconds"] <= members["seconds"]


@needs_kvm
@pytest.mark.parametrize(
    ("content", "words", "expected"),
    [
        (EXIT_5, "", {"status": 11, "reason": "debug-exit", "value": 5}),
        (RESET, "", {"status": 0, "reason": "reset", "detail": "the keyboard controller"}),
        (SPIN, "--timeout 0.1", {"status": 124, "reason": "timeout"}),
        (CRASH, "--mode protected", {"status": 126, "reason": "crash"}),
    ],
)
def test_other_ends_are_told_apart(
    pykvm_command: Pykvm,
    image: MakeImage,
    content: tuple[str, ...],
    words: str,
    expected: dict[str, object],
) -> None:
    result = pykvm_command("run", image(content), "--json", *words.split())
    assert result.err == ""
    assert parse(result).items() >= expected.items()


@needs_kvm
def test_a_collision_of_statuses_is_told_apart(pykvm_command: Pykvm, image: MakeImage) -> None:
    """Whoever writes 62 ends with 125, too."""
    path = image(
        (
            "b0 3e",  # mov al, 62
            "e6 f4",  # out 0xf4, al
        )
    )
    result = pykvm_command("run", path, "--json")
    assert result.status == 125
    assert parse(result)["reason"] == "debug-exit"


@needs_kvm
def test_the_crash(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(UNCLAIMED), "--strict", "--json")
    assert (result.status, result.err) == (126, "")
    crash = parse(result)["crash"]
    members = {"cause", "exit", "mode", "registers", "control", "instruction", "symbol"}
    assert set(crash) == members
    assert crash["symbol"] is None
    assert "0x30" in crash["cause"]
    assert (crash["exit"], crash["mode"]) == ("Io", "real")
    # at the IN or, where KVM emulates it, behind
    at = {"0x1003": "in al, 0x30", "0x1005": "hlt"}
    assert crash["instruction"] == at[crash["registers"]["rip"]]
    assert crash["registers"]["rax"] == "0x1234"
    assert set(crash["registers"]) == {
        *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "rip", "rflags"),
        *(f"r{number}" for number in range(8, 16)),
    }
    assert set(crash["control"]) == {"cr0", "cr2", "cr3", "cr4", "cr8", "efer"}
    assert int(crash["control"]["cr0"], 16) & 1 == 0


@needs_kvm
def test_output_that_is_no_text(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(
        (
            "ba f8 03",  # mov dx, 0x3f8
            "b0 ff",  # mov al, 0xff
            "ee",  # out dx, al
            "f4",  # hlt
        )
    )
    members = parse(pykvm_command("run", path, "--json"))
    assert members["output"] == "\\xff"
    assert base64.b64decode(members["output_base64"]) == b"\xff"


@needs_kvm
def test_what_no_device_answered(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(
        (
            "e4 30",  # in al, 0x30
            "e4 30",  # in al, 0x30
            "e6 31",  # out 0x31, al
            "f4",  # hlt
        )
    )
    assert parse(pykvm_command("run", path, "--json"))["unclaimed"] == [
        {"bus": "port", "address": "0x30", "access": "read", "count": 2},
        {"bus": "port", "address": "0x31", "access": "write", "count": 1},
    ]


@needs_kvm
@pytest.mark.parametrize("serial", ["null", "file:log"])
def test_output_that_goes_elsewhere(pykvm_command: Pykvm, image: MakeImage, serial: str) -> None:
    result = pykvm_command("run", image(PRINT_A), "--json", "--serial", serial)
    assert parse(result, serial=False)["status"] == 0


@needs_kvm
def test_input_still_comes_in(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "echo", "--json", stdin=b"abc\x04")
    assert parse(result)["output"] == "Type something; Ctrl-D ends.\nabcBye.\n"


@needs_kvm
@pytest.mark.parametrize(
    ("number", "reason", "status"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)],
)
def test_a_signal(
    start: Start, tmp_path: Any, number: signal.Signals, reason: str, status: int
) -> None:
    child = start("run", "echo", "--json", "--serial", "pty")
    assert child.stderr is not None
    child.stderr.readline()  # the serial line is there, so the guest is about to run
    child.send_signal(number)
    result = finish(child)
    members = parse(result, serial=False)
    assert (members["status"], members["reason"]) == (status, reason)
    assert members["detail"] == number.name


@needs_kvm
def test_a_run_that_never_began(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "./missing", "--json")
    assert result.status == 125
    assert parse(result, began=False)["error"] == result.complaint


@needs_kvm
def test_a_run_whose_output_was_lost(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(PRINT_A), "--json", "--serial", "file:/dev/full")
    assert result.status == 125
    members = parse(result, serial=False)
    assert members["error"] == result.complaint
    assert members["ports"] == {"0x3f8": 1}


def test_a_wrong_command_line_has_no_object(pykvm_command: Pykvm) -> None:
    assert pykvm_command("run", "--json").out == b""


def test_output_beyond_the_limit_is_counted() -> None:
    kept = BufferSink(limit=3)
    kept.write(b"abcde")
    halted = Stop(StopReason.HALTED)
    members = as_object(Outcome(halted, None, None, 1.0, None, kept))
    assert (members["output"], members["output_dropped"]) == ("abc", 2)


@needs_kvm
def test_stats_are_for_people(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(
        (
            "ba f8 03",  # mov dx, 0x3f8
            "b0 41",  # mov al, 'A'
            "ee",  # out dx, al
            "e4 30",  # in al, 0x30
            "f4",  # hlt
        )
    )
    result = pykvm_command("run", path, "--stats")
    assert (result.status, result.out) == (0, b"A")
    table = [line.strip("│ ").split() for line in result.err.splitlines()]
    assert table[0] == ["2", "exits"]
    assert ["KVM_EXIT_IO", "│", "2"] in table
    assert ["port", "0x3f8", "│", "1"] in table
    assert "ms in guest and kernel" in result.err
    assert "no device at port 0x30: read 1 times" in result.err
    assert max(map(len, result.err.splitlines())) <= 80
