"""`pykvm run --reboot restart` with a BIOS: each guest begins with the power-on self-test."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from pykvm.cli import main
from pykvm.cli.chassis import Chassis
from tests.cli import test_bios
from tests.cli.conftest import RESET, MakeImage, Pykvm, Start, finish, read_some
from tests.cli.test_bios import ENTER, FRAMES, Session, ends_with, sector
from tests.cli.test_json import parse
from tests.support.leaks import nothing_left_behind

pytestmark = pytest.mark.needs()

terminal = test_bios.session

ECHO_KEY_AND_RESET = (
    "31 c0",  # xor ax, ax
    "cd 16",  # int 0x16
    "b4 0e",  # mov ah, 0x0e
    "cd 10",  # int 0x10
    "3c 2e",  # cmp al, '.'
    "75 02",  # jne over the end
    "fa f4",  # cli; hlt
    *RESET,
)
READ_KEY = (
    "b4 00",  # mov ah, 0
    "cd 16",  # int 0x16
)
COUNT_ON_DISK = (
    "31 c0",  # xor ax, ax
    "8e d8 8e c0",  # mov ds, ax; mov es, ax
    "fe 06 f0 7d",  # inc byte ptr [0x7df0]
    "bb 00 7c",  # mov bx, 0x7c00
    "b8 01 03",  # mov ax, 0x0301
    "b9 01 00",  # mov cx, 1
    "30 f6",  # xor dh, dh
    "cd 13",  # int 0x13
    "80 3e f0 7d 14",  # cmp byte ptr [0x7df0], 20
    "75 02",  # jne over the end
    "fa f4",  # cli; hlt
    *RESET,
)
PRINT_T_AND_TRIPLE_FAULT = (
    "b8 54 0e",  # mov ax, 0x0e54
    "cd 10",  # int 0x10
    "31 c0",  # xor ax, ax
    "8e d8",  # mov ds, ax
    "0f 01 1e 00 7d",  # lidt [0x7d00], whose limit is 0
    "0f 20 c0",  # mov eax, cr0
    "0c 01",  # or al, 1
    "0f 22 c0",  # mov cr0, eax
    "b8 f8 ff",  # mov ax, 0xfff8
    "8e d8",  # mov ds, ax: beyond the GDT
)


def test_each_guest_has_the_keyboard(start: Start, image: MakeImage) -> None:
    path = image(sector(*ECHO_KEY_AND_RESET))
    child = start("run", path, "--reboot", "restart", stdin=subprocess.PIPE)
    assert child.stdin is not None
    for key in (b"a", b"b", b"c"):
        child.stdin.write(key)
        child.stdin.flush()
        read_some(child.stdout, key)
    result = finish(child, b".")
    assert (result.status, result.out) == (0, b".")


def test_each_guest_has_the_disks(pykvm_command: Pykvm, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(sector(*COUNT_ON_DISK))
    members = parse(pykvm_command("run", "--drive", str(disk), "--reboot", "restart", "--json"))
    assert (members["reason"], members["restarts"]) == ("halted", 19)
    assert disk.read_bytes()[0x1F0] == 20


def test_restarts_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk.img"
    restart = Chassis.restart
    opened = set()

    def restart_and_look(chassis: Chassis) -> None:
        restart(chassis)
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        opened.add(sum(link.resolve() == disk for link in links))

    monkeypatch.setattr(Chassis, "restart", restart_and_look)

    def run() -> None:
        disk.write_bytes(sector(*COUNT_ON_DISK))
        words = ["run", "--drive", str(disk), "--reboot", "restart", "--irqchip", "none"]
        assert main(words) == 0

    run()  # imports open what stays open
    with nothing_left_behind():
        run()
    assert opened == {1}


@pytest.mark.needs("triple_fault")
def test_a_triple_fault_is_a_reset(start: Start, image: MakeImage) -> None:
    child = start("run", image(sector(*PRINT_T_AND_TRIPLE_FAULT)), "--reboot", "restart")
    read_some(child.stdout, b"TTT")
    child.send_signal(signal.SIGINT)
    assert finish(child).status == 130


@FRAMES
def test_a_terminal_shows_each_guest_s_screen(terminal: Session, image: MakeImage) -> None:
    path = image(sector(*ECHO_KEY_AND_RESET[:4], *READ_KEY, *RESET))
    child = terminal(path, "--reboot", "restart")
    child.send(b"a")
    child.expect_exact(ENTER)
    for key, following in (b"ab", b"bc", b"cd"):
        child.expect(rb"\x1b\[1;1H\x1b\[[0-9;]*m" + bytes([key]))
        child.send(b"\r" + bytes([following]))
    child.expect(rb"\x1b\[1;1H\x1b\[[0-9;]*md")
    child.send(b"\x01x")
    assert ends_with(child, 130) == b"d\r\npykvm: stopped by Ctrl-A x\r\n"


def test_an_image_that_has_gone_is_told(start: Start, image: MakeImage) -> None:
    path = image(sector(*ECHO_KEY_AND_RESET))
    child = start("run", path, "--reboot", "restart", stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write(b"a")
    child.stdin.flush()
    read_some(child.stdout, b"a")
    Path(path).unlink()
    result = finish(child, b"b")
    assert result.status == 125
    assert "No such file" in result.complaint
