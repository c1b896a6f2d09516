"""The side-by-side benchmarks run: each script, with few rounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ctypes_loop
import pytest
from peer_images import ENDED, GREETING, HELLO, build_images, pykvm_command

from pykvm._shim import ffi, lib

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.not_on_svm("it compares times, and wants a compiler")


@pytest.mark.parametrize(
    ("script", "arguments", "says"),
    [
        ("peer_start.py", ["1"], "whole process: `pykvm run hello.bin` / VMM in C, hello.bin: "),
        ("peer_exits.py", ["1"], "`in 0x71` (Python): pykvm / bare C: "),
        ("peer_loops.py", ["2"], "`out`: device in Python / loop in pure Python: "),
        ("peers.py", ["--rounds", "1"], "`out`: pykvm's C loop / bare C loop: "),
    ],
)
def test_it_runs_and_compares(script: str, arguments: list[str], says: str) -> None:
    ran = subprocess.run(
        (sys.executable, BENCHMARKS / script, *arguments),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stderr, ran.returncode) == ("", 0)
    assert any(line.startswith(says) for line in ran.stdout.splitlines())


def test_all_greet_alike(tmp_path: Path) -> None:
    images = build_images(tmp_path, 1)
    for command, status in (
        ((images.vmm, HELLO), 0),
        ((images.vmm, images.rom), ENDED),
        (pykvm_command("--bios", images.rom), ENDED),
        (pykvm_command(images.kernel), ENDED),
    ):
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        assert (ran.stdout, ran.returncode) == (GREETING, status)


def test_the_python_loop_hands_out_what_the_guest_writes() -> None:
    code = bytes.fromhex(
        "b0 2a"  # mov al, 42
        "e6 10"  # out 0x10, al
        "b8 34 12"  # mov ax, 0x1234
        "e7 12"  # out 0x12, ax
        "f4"  # hlt
    )
    seen: list[tuple[int, int, int]] = []
    loop = ctypes_loop.CtypesLoop(code, lambda *write: seen.append(write))
    try:
        loop.run(2)
        with pytest.raises(RuntimeError, match="exit reason 5"):
            loop.run(1)
    finally:
        loop.close()
    assert seen == [(0x10, 1, 42), (0x12, 2, 0x1234)]


def test_the_python_loop_knows_the_kernels_numbers() -> None:
    names = [name for name in vars(ctypes_loop) if name.startswith("KVM_")]
    assert len(names) == 10
    known = {name: value for name in names if (value := getattr(lib, name, None)) is not None}
    assert "KVM_RUN" in known
    assert {name: getattr(ctypes_loop, name) for name in known} == known
    assert ffi.sizeof("struct kvm_sregs") == ctypes_loop.SREGS_SIZE
    assert ffi.sizeof("struct kvm_regs") == ctypes_loop.REGS.size
