"""`pykvm trace` as a user types it."""

from __future__ import annotations

import errno
import json
import os
import pty
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import (
    CRASH,
    EXIT_5,
    LONG,
    PRINT_A,
    PRINT_A_FOR_EVER,
    SPIN,
    MakeImage,
    Pykvm,
    Start,
    finish,
    read_some,
)

FAILURE, USAGE = 125, 2
HEADS = {
    "kvm": b"     time/us cpu exit     what ",
    "emu": b"(exits of an emulated guest, without times)\ncpu exit     what ",
}
with_kvm = pytest.mark.needs()
on_both = pytest.mark.parametrize(
    "accel",
    [
        pytest.param("kvm", marks=pytest.mark.needs()),
        pytest.param("emu", marks=pytest.mark.emulated),
    ],
)


@on_both
def test_a_table_on_standard_output(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    result = pykvm_command("trace", "--accel", accel, image(EXIT_5))
    assert (result.status, result.err) == (5 << 1 | 1, "")
    assert result.out.startswith(HEADS[accel])
    lines = result.out.splitlines()
    assert (lines[-1].startswith(b"(TSC at ")) == (accel == "kvm")
    (line,) = (line for line in lines if b"out 0xf4 = 0x05" in line)
    assert line.endswith(b"00001002   out 0xf4, al")


@on_both
def test_the_guests_output_is_not_in_the_table(
    pykvm_command: Pykvm, image: MakeImage, accel: str
) -> None:
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A))
    assert result.status == 0
    assert result.out.startswith(HEADS[accel])
    assert not [line for line in result.out.splitlines() if line.startswith(b"A")]


@on_both
def test_the_guests_output_may_go_to_a_file(
    pykvm_command: Pykvm, image: MakeImage, tmp_path: Path, accel: str
) -> None:
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A), "--serial", "file:out.txt")
    assert result.out.startswith(HEADS[accel])
    assert (tmp_path / "out.txt").read_bytes() == b"A"


@on_both
def test_with_a_file_for_the_trace_the_guest_has_standard_output(
    pykvm_command: Pykvm, image: MakeImage, tmp_path: Path, accel: str
) -> None:
    (tmp_path / "trace.txt").write_bytes(b"old " * 10_000)
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A), "-o", "trace.txt")
    assert (result.status, result.out, result.err) == (0, b"A", "")
    text = (tmp_path / "trace.txt").read_bytes()
    assert text.startswith(HEADS[accel])
    assert b"old" not in text


@on_both
def test_json_lines(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    result = pykvm_command("trace", "--accel", accel, image(EXIT_5), "--format", "jsonl")
    (line,) = map(json.loads, result.out.splitlines())
    assert line["exit"] == "KVM_EXIT_IO"
    assert (line["port"], line["value"], line["device"]) == ("0xf4", "0x5", "debug exit")
    assert line["instruction"] == "out 0xf4, al"
    times = {name for name in line if name.endswith("_ns")}
    assert times == ({"time_ns", "inside_ns"} if accel == "kvm" else set())


@with_kvm
def test_a_timeline(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("trace", image(PRINT_A), "--format", "perfetto")
    events = json.loads(result.out)["traceEvents"]
    assert {"guest + KVM", "C posted: out 0x3f8 = 0x41 'A'"} & {e["name"] for e in events}


@with_kvm
def test_a_summary(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("trace", image(PRINT_A_FOR_EVER), "--summary", "--limit", "20000")
    assert result.status == 0
    assert b"20000 returns of KVM_RUN: " in result.out
    assert b"KVM_EXIT_IO" in result.out
    assert b"00001005  out dx, al" in result.out


@pytest.mark.emulated
def test_a_summary_without_times(pykvm_command: Pykvm, image: MakeImage) -> None:
    command = "trace", "--accel", "emu", image(PRINT_A_FOR_EVER), "--summary", "--limit", "20"
    result = pykvm_command(*command)
    assert result.status == 0
    assert result.out.startswith(b"20 exits of an emulated guest, without times\n")
    assert b"       20  00001005  out dx, al" in result.out


@pytest.mark.emulated
def test_an_emulated_guest_has_no_timeline(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("trace", "--accel", "emu", image(PRINT_A), "--format", "perfetto")
    assert (result.status, result.out) == (FAILURE, b"")
    assert result.complaint.startswith("a timeline is made of times, and exits of an emulated ")


@pytest.mark.emulated
def test_without_kvm_the_guest_is_traced_emulated(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("trace", image(PRINT_A), lacks=["no-kvm"])
    assert result.status == 0
    assert result.out.startswith(HEADS["emu"])
    assert result.complaint.startswith("emulating the guest, slowly: ")


@on_both
def test_steps(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A), "--step", "--only", "step")
    first, second = (line for line in result.out.decode().splitlines() if "step     e" in line)
    assert "step     edx=3f8" in first
    assert first.endswith("mov dx, 0x3f8")
    assert "step     eax=41" in second


@on_both
def test_only_some_ports(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    result = pykvm_command(
        "trace",
        "--accel",
        accel,
        image(EXIT_5),
        "--port",
        "0x3f8-0x3ff",
        "--port",
        "0x60",
        "--format",
        "jsonl",
    )
    assert (result.status, result.out) == (5 << 1 | 1, b"")


@on_both
def test_a_limit_ends_the_run(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    result = pykvm_command(
        "trace", "--accel", accel, image(PRINT_A_FOR_EVER), "--limit", "3", "--format", "jsonl"
    )
    assert (result.status, result.err) == (0, "")
    assert len(result.out.splitlines()) == 3


@on_both
def test_lines_come_while_the_guest_runs(start: Start, image: MakeImage, accel: str) -> None:
    code = (*PRINT_A[:3], *SPIN)
    child = start("trace", "--accel", accel, image(code), "--timeout", "60")
    read_some(child.stdout, b"out dx, al\n")
    child.terminate()
    assert finish(child).status == 143


@on_both
def test_statuses_are_those_of_run(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    assert pykvm_command("trace", "--accel", accel, image(SPIN), "--timeout", "0.1").status == 124
    crash = pykvm_command("trace", "--accel", accel, image(CRASH), "--mode", "protected")
    assert crash.status == 126
    assert crash.err.startswith("pykvm: the guest crashed: ")
    assert crash.out.startswith(HEADS[accel])


@on_both
def test_a_full_disk_ends_the_trace_but_not_the_guest(
    pykvm_command: Pykvm, image: MakeImage, accel: str
) -> None:
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A), "-o", "/dev/full")
    assert (result.status, result.out) == (FAILURE, b"A")
    full = os.strerror(errno.ENOSPC)
    assert (
        result.complaint
        == f"the trace ends here, the guest runs on: cannot write to /dev/full: {full}"
    )


@on_both
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_reader_that_has_seen_enough(
    start: Start, image: MakeImage, form: str, accel: str
) -> None:
    """As `head`: the guest would run for ever, and nobody would see anything of it."""
    child = start("trace", "--accel", accel, image(PRINT_A_FOR_EVER), "--format", form)
    read_some(child.stdout, b"out dx, al")
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    result = finish(child)
    assert (result.status, result.err) == (FAILURE, "")


@on_both
def test_a_reader_that_was_never_there(pykvm_command: Pykvm, image: MakeImage, accel: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = pykvm_command("trace", "--accel", accel, image(PRINT_A_FOR_EVER), stdout=writer)
    os.close(writer)
    assert (result.status, result.err) == (FAILURE, "")


@on_both
@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_is_not_overrun(
    start: Start, image: MakeImage, columns: int, accel: str
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    child = start("trace", "--accel", accel, image(PRINT_A), stdout=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # EIO is its end
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert child.wait(LONG) == 0
    lines = shown.decode().splitlines()
    assert max(map(len, lines)) <= columns
    assert any(line.endswith("out dx, al") for line in lines)


@on_both
def test_a_closed_pipe_ends_the_trace_but_not_the_guest(
    start: Start, image: MakeImage, tmp_path: Path, accel: str
) -> None:
    child = start(
        "trace", "--accel", accel, image(PRINT_A_FOR_EVER), "--serial", "file:out", "--timeout", "2"
    )
    read_some(child.stdout, b"out dx, al\n")
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    result = finish(child)
    assert result.status == FAILURE
    first, second = result.err.splitlines()
    assert first.startswith("pykvm: the trace ends here, the guest runs on: ")
    assert second.startswith("pykvm: stopped: the guest was still running")
    assert (tmp_path / "out").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--only io,foo", "'foo' is no kind of exit: io, mmio, hlt, msr, intr, step, other"),
        ("--port 0x10000", "'0x10000' is not a port (0x3f8) or a range of ports (0x3f8-0x3ff)"),
        ("--port 9-8", "'9-8' is not a port"),
        ("--port x", "'x' is not a port"),
        ("--limit 0", "'0' is not a number from 1 on"),
        ("--format xml", "invalid choice: 'xml'"),
        ("--serial stdio", "--serial stdio needs --output: the trace has standard output"),
        ("--summary --format perfetto", "a summary has no timeline: --format text or jsonl"),
        ("--reboot restart", "unrecognized arguments: --reboot restart"),
    ],
)
def test_a_wrong_command_line(pykvm_command: Pykvm, options: str, words: str) -> None:
    result = pykvm_command("trace", "x", *options.split())
    assert (result.status, result.out) == (USAGE, b"")
    assert words in result.complaint


def test_no_image(pykvm_command: Pykvm) -> None:
    assert pykvm_command("trace").complaint.startswith("pykvm trace: ")


@pytest.mark.parametrize("path", ["/nowhere/trace", "/", ""])
def test_a_file_that_cannot_be_written(pykvm_command: Pykvm, image: MakeImage, path: str) -> None:
    result = pykvm_command("trace", image(PRINT_A), "--output", path)
    assert (result.status, result.out) == (FAILURE, b"")
    assert result.complaint.startswith(f"--output: cannot write {path!r}: ")


@with_kvm
def test_no_standard_output(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("trace", image(PRINT_A), shell=">&-")
    assert result.status == FAILURE
    assert result.complaint == "standard output is closed (--output FILE needs none)"
