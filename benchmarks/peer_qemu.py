"""QEMU with KVM as a peer: whether it is there, and how it is told to run the same guests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from peer_images import ENDED, GREETING

NAME = "qemu-system-x86_64"
DEVICES = ("-device", "isa-debug-exit,iobase=0xf4,iosize=1")
DEBUG_CONSOLE = ("-chardev", "null,id=nowhere", "-device", "isa-debugcon,chardev=nowhere")
TIMEOUT = 30


class Qemu(NamedTuple):
    """One that works here.

    Attributes:
        path: the program.
        version: as it says itself, such as "7.2.22".
    """

    path: str
    version: str

    def command(self, machine: str, *arguments: str | Path) -> list[str]:
        """Run a guest on `machine` ("microvm", "pc"): one processor, 16 MiB, COM1 on stdout.

        The processor is the host's, as pykvm's is, but for MSR_IA32_ARCH_CAPABILITIES, which QEMU
        ends for where KVM refuses it.  Nothing is added that the guests do not use.
        """
        return [
            *(self.path, "-accel", "kvm", "-cpu", "host,-arch-capabilities"),
            *("-machine", machine, "-m", "16", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-serial", "stdio", "-no-reboot"),
            *DEVICES,
            *map(str, arguments),
        ]


def find_qemu(rom: Path) -> Qemu | str:
    """QEMU, if it greets from `rom` with KVM; else in one line why it is left out."""
    path = shutil.which(NAME)
    if path is None:
        return f"{NAME} is not installed: left out"
    said = subprocess.run((path, "--version"), check=True, capture_output=True, text=True).stdout
    qemu = Qemu(path, version_in(said))
    try:
        ran = subprocess.run(
            qemu.command("microvm", "-bios", rom),
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"QEMU {qemu.version} did not end within {TIMEOUT} s: left out"
    if ran.returncode != ENDED or ran.stdout != GREETING:
        words = ran.stderr.decode(errors="replace").strip().partition("\n")[0]
        return f"QEMU {qemu.version} cannot run the guest ({words or ran.returncode}): left out"
    return qemu


def version_in(said: str) -> str:
    """The version in what `qemu-system-x86_64 --version` prints first."""
    _, found, rest = said.partition("version ")
    return rest.split()[0].rstrip("(") if found and rest.split() else "of unknown version"
