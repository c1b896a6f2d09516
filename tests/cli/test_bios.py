"""`pykvm run` with a BIOS: piped, at a terminal, from disks, from SeaBIOS."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from pykvm.boot.firmware_image import SEABIOS
from tests.cli.conftest import ENVIRONMENT, LONG, PYKVM, MakeImage, Pykvm, Start, read_some

pytestmark = pytest.mark.needs()

GUESTS = Path(__file__).parents[2] / "guests"
GREETING = b"Hello from the boot sector.\r\nHello from the second sector. Type; Escape ends.\r\n"

SCREEN_AND_SERIAL = (
    "fa",  # cli
    "b8 00 b8",  # mov ax, 0xb800
    "8e c0",  # mov es, ax
    "26 c7 06 00 00 53 1f",  # mov word ptr es:[0], 0x1f53: S, white on blue
    "ba f8 03",  # mov dx, 0x3f8
    "b0 41",  # mov al, 'A'
    "ee",  # out dx, al
    "eb fe",  # jmp .
)


FRAMES = pytest.mark.not_on_svm("what a frame of the screen brings depends on the host's speed")


def on_screen(text: bytes) -> bytes:
    """A pattern for text on the screen: it may come in several frames, the cursor moved between."""
    return rb"(?:\x1b\[[0-9;?]*[A-Za-z])*".join(re.escape(bytes([byte])) for byte in text)


@pytest.fixture(autouse=True)
def _built() -> None:
    subprocess.run(["make", "-s", "-C", str(GUESTS)], check=True)


def sector(*lines: str) -> bytes:
    """A boot sector of this code."""
    return bytes.fromhex("".join(lines)).ljust(510, b"\0") + b"\x55\xaa"


# ---- without a terminal


def test_piped_it_is_plain_text_both_ways(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "bios_disk", stdin=b"hi\x1b")
    assert result == (0, GREETING + b"hi\r\nPASS\r\n", "")


def test_more_is_piped_in_than_the_keyboard_takes_at_once(pykvm_command: Pykvm) -> None:
    text = b"".join(b"%06d " % i for i in range(800))
    result = pykvm_command("run", "bios_disk", stdin=text + b"\x1b")
    assert result == (0, GREETING + text + b"\r\nPASS\r\n", "")


def test_json_has_what_the_bios_printed(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "bios_disk", "--json", "--serial", "null", stdin=b"\x1b")
    assert result.status == 0
    assert b"Escape ends.\\r\\n\\r\\nPASS" in result.out


def test_serial_and_teletype_share_standard_output(pykvm_command: Pykvm) -> None:
    assert pykvm_command("run", "boot_sector").out.startswith(b"Boot sector at 00007C00")
    assert pykvm_command("run", "boot_sector", "--bios", "mini").status == 0


VECTOR_12 = (
    "31 c0",  # xor ax, ax
    "8e d8",  # mov ds, ax
    "a0 48 00",  # mov al, [0x48]
    "e6 f4",  # out 0xf4, al
)
"""INT 12h is at F000:F841 in every BIOS."""


def test_none_enters_a_boot_sector_directly(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(sector(*VECTOR_12))
    assert pykvm_command("run", path).status == 0x41 << 1 | 1
    for words in (("--bios", "none"), ("-m", "512K"), ("--load-addr", "0x7c00")):
        assert pykvm_command("run", path, *words).status == 1


# ---- disks


WRITE_SECTOR = (
    "fa",  # cli
    "0e 07",  # push cs; pop es
    "bb 00 7c",  # mov bx, 0x7c00
    "b8 01 03",  # mov ax, 0x0301
    "b9 02 00",  # mov cx, 2
    "30 f6",  # xor dh, dh
    "cd 13",  # int 0x13
    "fa",  # cli
    "88 e0",  # mov al, ah
    "e6 f4",  # out 0xf4, al
)


@pytest.mark.parametrize(
    ("words", "status"), [(["--drive", "{}"], 0), (["--drive", "{},readonly"], 3), (["{}"], 3)]
)
def test_only_a_drive_is_written(
    pykvm_command: Pykvm, tmp_path: Path, words: list[str], status: int
) -> None:
    """INT 13h says 03h: write-protected."""
    content = sector(*WRITE_SECTOR) + bytes(1024)
    path = tmp_path / "disk.img"
    path.write_bytes(content)
    result = pykvm_command("run", *(word.format(path) for word in words))
    assert result == (status << 1 | 1, b"", "")
    assert path.read_bytes()[512:1024] == (bytes(512) if status else content[:512])


def test_nothing_to_boot(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", "--drive", image(bytes(4096)))
    assert (result.status, result.out) == (125, b"No bootable disk.\r\n")
    assert "nothing to boot" in result.complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--drive", "."], "Is a directory"),
        (["--drive", "./missing"], "No such file"),
        (["--drive", "empty"], "is empty"),
        (["--drive", "empty", "--bios", "seabios"], "--bios mini"),
        (["--drive", "empty", "--bios", "none", "hello"], "--drive needs a BIOS"),
        (["--bios", "./missing"], "No such file"),
        (["--bios", "empty"], "no firmware image"),
        (["--bios", "mini", "boot_sector", "-m", "512K"], "1 MiB"),
        (["--bios", "mini", "boot_sector", "--append", "x"], "--bios none"),
        (["--bios", "seabios", "hello"], "boots no image"),
        (["boot_sector", "--debugcon", "file:/nowhere/x"], "--debugcon file: cannot write"),
    ],
)
def test_what_cannot_be(
    pykvm_command: Pykvm, tmp_path: Path, words: list[str], complaint: str
) -> None:
    (tmp_path / "empty").touch()
    result = pykvm_command("run", *words)
    assert (result.status, result.out) == (125, b"")
    assert complaint in result.complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write whatever it wants")
def test_a_file_that_may_not_be_written(pykvm_command: Pykvm, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(sector("fa", "f4"))
    path.chmod(0o400)
    result = pykvm_command("run", "--drive", str(path))
    assert result.status == 125
    assert "read-only" in result.complaint
    assert pykvm_command("run", "--drive", f"{path},readonly").status == 0


# ---- firmware

seabios = pytest.mark.skipif(
    not any(Path(place).exists() for place in SEABIOS),
    reason="SeaBIOS is not installed (Debian: apt-get install seabios)",
)


@seabios
def test_seabios_reaches_its_boot_menu(start: Start) -> None:
    child = start("run", "--bios", "seabios", "--serial", "null", "--debugcon", "stdio")
    read_some(child.stderr, b"Booting from")
    child.terminate()
    assert child.wait(LONG) == 143


@seabios
def test_the_debug_console_into_a_file(pykvm_command: Pykvm, tmp_path: Path) -> None:
    words = ("--serial", "null", "--debugcon", "file:log", "--timeout", "1")
    pykvm_command("run", "--bios", next(p for p in SEABIOS if Path(p).exists()), *words)
    assert (tmp_path / "log").read_bytes().startswith(b"SeaBIOS (version ")


# ---- at a terminal

Session = Callable[..., "pexpect.spawn[bytes]"]
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def session() -> Iterator[Session]:
    """The command at a terminal, below a shell that says how the terminal is left."""
    children = []

    def begin(*words: str, term: str = "xterm", shell: str = "") -> pexpect.spawn[bytes]:
        script = (
            f'trap : INT; before=$(stty -g); "$@" {shell}; status=$?; after=$(stty -g); '
            'test "$before" = "$after" && echo "status=$status as before"'
        )
        child: pexpect.spawn[bytes] = pexpect.spawn(
            "/bin/sh",
            ["-c", script, "sh", *PYKVM, "run", *words],
            env={**ENVIRONMENT, "TERM": term},
            timeout=LONG,
            dimensions=(30, 100),
        )
        child.delaybeforesend = None
        children.append(child)
        return child

    yield begin
    for child in children:
        child.close(force=True)


def ends_with(child: pexpect.spawn[bytes], status: int) -> bytes:
    """The terminal is on its own screen again; returns what is printed there."""
    child.expect_exact(LEAVE)
    child.expect_exact(b"status=%d as before\r\n" % status)
    assert child.before is not None
    return child.before


@FRAMES
def test_the_screen_is_shown_and_keys_reach_the_guest(session: Session) -> None:
    child = session("bios_disk")
    child.expect_exact(ENTER)
    child.expect_exact(b"\x1b[1;1H")
    child.expect(on_screen(b"Hello from the boot sector."))
    child.expect(on_screen(b"Type; Escape ends."))
    child.send(b"q")
    child.expect(rb"\x1b\[3;1H\x1b\[[0-9;]*mq")
    child.send(b"\x1b")
    shown = ends_with(child, 0)
    assert shown == GREETING + b"q\r\nPASS\r\n"


@FRAMES
def test_ctrl_a_x_leaves_the_screen(session: Session) -> None:
    child = session("bios_disk")
    child.expect(on_screen(b"Escape ends."))
    child.send(b"\x01x")
    shown = ends_with(child, 130)
    assert shown == GREETING + b"pykvm: stopped by Ctrl-A x\r\n"


def test_ctrl_c_leaves_the_screen(session: Session) -> None:
    child = session("bios_disk")
    child.expect(on_screen(b"Escape ends."))
    child.send(b"\x03")
    assert b"pykvm: stopped by SIGINT" in ends_with(child, 130)


def test_help_covers_the_screen_until_a_key(session: Session) -> None:
    child = session("bios_disk")
    child.expect(on_screen(b"Escape ends."))
    child.send(b"\x01h")
    child.expect_exact(b"Ctrl-A x")
    child.expect_exact(b"(any key")
    child.send(b"q")
    child.expect(on_screen(b"Hello from the boot sector."))
    child.send(b"\x1b")
    ends_with(child, 0)


def test_what_the_guest_stores_is_shown_and_serial_output_is_not_then(
    session: Session, image: MakeImage, tmp_path: Path
) -> None:
    path = image(sector(*SCREEN_AND_SERIAL[:-4], "eb fe"))
    child = session(path)
    child.expect(re.escape(ENTER) + rb".*\x1b\[0;97;44mS")
    child.send(b"\x01x")
    ends_with(child, 130)
    log = tmp_path / "log"
    child = session(image(sector(*SCREEN_AND_SERIAL)), "--serial", f"file:{log}")
    child.expect_exact(ENTER)
    child.send(b"\x01x")
    ends_with(child, 130)
    assert log.read_bytes() == b"A"


def test_a_guest_that_never_uses_the_screen_is_a_serial_line(session: Session) -> None:
    child = session("boot_sector")
    child.expect_exact(b"status=0 as before\r\n")
    assert child.before == b"Boot sector at 00007C00, drive 00000080\r\nPASS\r\n"


def test_a_dumb_terminal_gets_the_text(session: Session) -> None:
    child = session("bios_disk", term="dumb")
    child.expect(on_screen(b"Escape ends."))
    child.send(b"\x1b")
    child.expect_exact(b"status=0 as before\r\n")
    assert child.before is not None
    assert b"\x1b" not in child.before
    assert b"PASS" in child.before


def test_a_screen_of_another_size_is_cut(session: Session) -> None:
    child = session("bios_disk")
    child.expect(on_screen(b"Escape ends."))
    child.setwinsize(1, 10)
    child.expect_exact(b"\x1b[2J")
    child.expect(rb"Hello from\x1b")
    child.send(b"\x01x")
    ends_with(child, 130)
