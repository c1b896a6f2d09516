"""`pykvm explain` as a user types it."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from pykvm.manifest import find_guest
from tests.cli.conftest import (
    CRASH,
    EXIT_5,
    HALT,
    LONG,
    PRINT_A,
    PRINT_A_FOR_EVER,
    SPIN,
    MakeImage,
    Pykvm,
    Result,
    Start,
)
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs()

GREETING = "Hello from the guest! I am 16-bit code on a virtual CPU."
WRITE_MMIO = (  # in real mode, with DS at 0xa0000, where no RAM is
    "b8 00 a0",  # mov ax, 0xa000
    "8e d8",  # mov ds, ax
    "c6 06 04 00 2a",  # mov byte ptr [4], 0x2a
    "a0 05 00",  # mov al, [5]
    "f4",  # hlt
)


def told(result: Result) -> str:
    assert (result.status, result.err) == (0, "")
    return result.out.decode()


def test_the_sequence_of_a_textbook(pykvm_command: Pykvm) -> None:
    text = told(pykvm_command("explain", "hello"))
    places = [
        text.index(words)
        for words in (
            'open("/dev/kvm", O_RDWR)',
            "KVM_GET_API_VERSION",
            "KVM_CREATE_VM",
            "KVM_SET_USER_MEMORY_REGION",
            "KVM_CREATE_VCPU",
            "mmap(vcpu, ",
            "KVM_SET_SREGS",
            "RIP 0x1000, ",
            "ioctl(vcpu, KVM_RUN)",
            "0000100e  ec               in al, dx",
            "exit reason KVM_EXIT_IO: read 1 byte from port 0x3fd",
            "ioctl(vcpu, KVM_RUN), once more",
            "3. What was not seen",
            "The guest halted for good",
            GREETING,
        )
    ]
    assert places == sorted(places)
    assert "114 exits" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_repeats_itself_is_folded_unless_all_is_asked_for(pykvm_command: Pykvm) -> None:
    short = told(pykvm_command("explain", "hello"))
    full = told(pykvm_command("explain", "hello", "--full"))
    assert "more like those before" in short
    assert short.count("out dx, al") < 6
    assert "more like those before" not in full
    assert full.count("out dx, al") == len(GREETING) + 1


@pytest.mark.needs("protected_mode")
def test_a_protected_mode_guest(pykvm_command: Pykvm) -> None:
    text = told(pykvm_command("explain", "hello_protected"))
    assert "protected mode, 32-bit code; CR0 0x11 [PE ET]" in text
    assert "Hello from 32-bit protected mode." in text


@pytest.mark.needs("long_mode")
def test_a_long_mode_guest(pykvm_command: Pykvm) -> None:
    text = told(pykvm_command("explain", "hello_long"))
    assert "long mode, 64-bit code" in text
    assert "EFER [LME LMA]" in text
    assert "Hello from 64-bit long mode." in text


@pytest.mark.needs("mmio")
def test_a_guest_with_mmio(pykvm_command: Pykvm, image: MakeImage) -> None:
    text = told(pykvm_command("explain", image(WRITE_MMIO), "-m", "64K"))
    assert "mov byte ptr [4], 0x2a" in text
    assert "exit reason KVM_EXIT_MMIO: write 1 byte, 0x2a, to guest-physical" in text
    assert "mov al, byte ptr [5]" in text
    assert "Python answers 0xff, all ones, since no device is there" in text


@pytest.mark.needs("pit", "irqchip")
def test_a_guest_with_interrupts(pykvm_command: Pykvm) -> None:
    text = told(pykvm_command("explain", "serial_interrupts", stdin=b"ab\x04"))
    assert "ioctl(vm, KVM_IRQ_LINE)" in text
    assert "line 4 up" in text
    text = told(pykvm_command("explain", "pit_ticks"))
    assert "a signal ends KVM_RUN (EINTR)" in text
    assert "KVM_GET_MP_STATE" in text


def test_hlt_without_an_interrupt_controller(pykvm_command: Pykvm, image: MakeImage) -> None:
    text = told(pykvm_command("explain", image(HALT), "--irqchip", "none"))
    assert "00001000  f4               hlt" in text
    assert "exit reason KVM_EXIT_HLT" in text
    assert "The guest halted, which is the end." in text


def test_several_processors(pykvm_command: Pykvm, image: MakeImage) -> None:
    text = told(pykvm_command("explain", image(PRINT_A), "--smp", "2"))
    assert "2 processors" in text
    assert "ioctl(vm, KVM_CREATE_VCPU)" in text


@pytest.mark.needs("protected_mode", "triple_fault")
def test_a_crash_is_told_to_its_end(pykvm_command: Pykvm, image: MakeImage) -> None:
    text = told(pykvm_command("explain", image(CRASH, "crash.bin32")))
    assert "exit reason KVM_EXIT_SHUTDOWN" in text
    assert "The guest crashed: triple fault" in text


@pytest.mark.parametrize(
    ("code", "options", "words"),
    [
        (EXIT_5, (), "`pykvm run` would end with status 11"),
        (SPIN, ("--timeout", "0.2"), "The guest was still running after 0.2 s (--timeout)."),
        (PRINT_A_FOR_EVER, ("--max-exits", "20"), "had not ended after 20 exits (--max-exits)."),
        (HALT, (), "The guest halted for good"),
    ],
)
def test_how_it_ended(
    pykvm_command: Pykvm,
    image: MakeImage,
    code: tuple[str, ...],
    options: tuple[str, ...],
    words: str,
) -> None:
    text = told(pykvm_command("explain", image(code), *options))
    assert words in " ".join(text.split())


def test_what_is_piped_in_goes_to_the_guest(pykvm_command: Pykvm) -> None:
    text = told(pykvm_command("explain", "echo", stdin=b"Zebra\x04"))
    assert "    Type something; Ctrl-D ends.\n    ZebraBye.\n" in text


def test_a_terminal_s_keys_stay_its_own(start: Start, image: MakeImage) -> None:
    ours, theirs = pty.openpty()
    try:
        child = start("explain", image(PRINT_A), stdin=theirs)
        out, err = child.communicate(timeout=LONG)
        assert (child.returncode, err) == (0, b"")
        assert b"    A\n" in out
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_ends_the_run_and_not_the_story(
    start: Start, image: MakeImage, number: signal.Signals, status: int
) -> None:
    child = start("explain", image(SPIN), "--timeout", "100", stdin=subprocess.PIPE)
    assert child.stdin is not None
    pipe = child.stdin.fileno()
    os.write(pipe, b"x")
    # what is typed is read once signals are the run's
    assert eventually(lambda: unread(pipe) == 0)
    child.send_signal(number)
    out, err = child.communicate(timeout=LONG)
    assert (child.returncode, err) == (status, b"")
    assert f"The run was stopped by {number.name}." in out.decode()


def unread(pipe: int) -> int:
    """How many bytes in a pipe nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_the_page(pykvm_command: Pykvm, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("x" * 200_000)
    result = pykvm_command("explain", "hello", "--html", str(path))
    assert (result.status, result.out, result.err) == (0, b"", "")
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>\n")
    assert GREETING in page
    assert "://" not in page
    assert len(re.findall("<svg", page)) == 1


@pytest.mark.parametrize("name", ["missing/page.html", ".", ""])
def test_a_page_that_cannot_be_written(pykvm_command: Pykvm, image: MakeImage, name: str) -> None:
    result = pykvm_command("explain", image(PRINT_A), "--html", name)
    assert (result.status, result.out) == (125, b"")
    assert f"--html: cannot write {name!r}: " in result.complaint


def test_no_page_is_left_where_there_is_no_story(
    pykvm_command: Pykvm, image: MakeImage, tmp_path: Path
) -> None:
    new, old = tmp_path / "new.html", tmp_path / "old.html"
    old.write_text("as it was")
    for path in (new, old):
        assert pykvm_command("explain", "./missing", "--html", str(path)).status == 125
    assert not new.exists()
    assert old.read_text() == "as it was"
    assert pykvm_command("explain", image(HALT), "--html", str(new)).status == 0
    assert new.stat().st_size > 1000


@pytest.mark.needs("real_mode")
def test_a_machine_with_a_bios(pykvm_command: Pykvm) -> None:
    disk = bundled("bios_disk")
    text = told(pykvm_command("explain", "--drive", disk, stdin=b"hi\x1b"))
    assert text.startswith("bios_disk.bin, step by step\n")
    assert "(BIOS" in text
    assert "    Hello from the boot sector.\n" in text


def bundled(name: str) -> str:
    guest = find_guest(name)
    assert guest is not None
    return str(guest.path)


def test_a_full_disk(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("explain", image(PRINT_A), "--html", "/dev/full")
    assert (result.status, result.out) == (125, b"")
    assert "'/dev/full': No space left on device" in result.complaint


def test_standard_output_that_takes_nothing(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("explain", image(PRINT_A), shell=">/dev/full")
    assert result.status == 125
    assert result.complaint == "cannot write to standard output: No space left on device"


def test_a_closed_pipe(pykvm_command: Pykvm, image: MakeImage) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = pykvm_command("explain", image(PRINT_A), stdout=writer)
    os.close(writer)
    assert result.status == 125
    assert result.complaint == "cannot write to standard output: Broken pipe"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "pykvm explain: the following arguments are required: IMAGE"),
        (["x", "--max-exits", "0"], "'0' is not a number from 1 on"),
        (["x", "--max-exits", "1000001"], "1000001 exits are more than can be kept"),
        (["x", "--reboot", "exit"], "unrecognized arguments: --reboot"),
    ],
)
def test_a_wrong_command_line(pykvm_command: Pykvm, words: list[str], complaint: str) -> None:
    result = pykvm_command("explain", *words)
    assert (result.status, result.out) == (2, b"")
    assert complaint in result.err


def test_an_image_that_is_not_there(pykvm_command: Pykvm) -> None:
    result = pykvm_command("explain", "helo")
    assert (result.status, result.out) == (125, b"")
    assert "did you mean hello?" in result.complaint


def test_a_guest_that_prints_what_a_terminal_obeys(pykvm_command: Pykvm, image: MakeImage) -> None:
    escape = (
        "ba f8 03",  # mov dx, 0x3f8
        "b0 1b",  # mov al, 0x1b
        "ee",  # out dx, al
        "f4",  # hlt
    )
    text = told(pykvm_command("explain", image(escape)))
    assert "\x1b" not in text
    assert "    \\x1b\n" in text
