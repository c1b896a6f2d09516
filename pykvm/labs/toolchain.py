"""From a student's assembly to a flat image: GNU as and ld, as for the bundled guests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from pykvm.errors import LabError

SUFFIXES = {"real": ".bin", "protected": ".bin32", "long": ".bin64"}
"""An image's name says how `pykvm run` enters it."""
LOAD_ADDRESS = 0x1000
SECONDS = 10
LARGEST = 1 << 20
_SCRIPT = f"""
SECTIONS
{{
    . = DEFINED(load_address) ? load_address : {LOAD_ADDRESS:#x};
    .text : {{ *(.text) *(.rodata) *(.data) *(.bss) *(COMMON) }}
    /DISCARD/ : {{ *(.note*) *(.comment) *(.eh_frame) }}
}}
"""


class AssemblyError(LabError):
    """The source does not assemble; the message has the assembler's first words."""


def missing_tools() -> str:
    """Which tools are not installed, in one sentence; empty if all are."""
    lacking = [tool for tool in ("as", "ld") if shutil.which(tool) is None]
    if not lacking:
        return ""
    return (
        f"{' and '.join(lacking)} not found: guests are assembled by GNU binutils "
        "(`apt install binutils`, `dnf install binutils`)"
    )


def assemble(source: Path, mode: str) -> bytes:
    """The flat image of an assembly source, to be loaded at 0x1000.

    Args:
        source: GNU as syntax; the source says `.intel_syntax noprefix` and `.code16` itself.
        mode: "real", "protected" or "long", which it is entered in.

    Raises:
        LabError: there is no assembler.
        AssemblyError: the source is wrong, empty, or gives an image above 1 MiB.
    """
    lacking = missing_tools()
    if lacking:
        raise LabError(lacking)
    wide = mode == "long"
    with TemporaryDirectory(prefix="pykvm-lab-") as scratch:
        built, script, image = (Path(scratch, name) for name in ("guest.o", "flat.ld", "guest"))
        script.write_text(_SCRIPT, encoding="ascii")
        _run("as", "--64" if wide else "--32", "-o", built, source.name, cwd=source.parent)
        emulation = "elf_x86_64" if wide else "elf_i386"
        _run(
            *("ld", "-m", emulation, "-static", "--build-id=none", "-z", "noexecstack", "-T"),
            *(script, "--oformat=binary", "-o", image, built),
            cwd=source.parent,
        )
        if image.stat().st_size > LARGEST:
            raise AssemblyError(f"{source.name}: the image has {image.stat().st_size} bytes")
        code = image.read_bytes()
    if not code:
        raise AssemblyError(f"{source.name}: there is no code in it")
    return code


def _run(tool: str, *words: str | Path, cwd: Path) -> None:
    try:
        done = subprocess.run(
            (tool, *words),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssemblyError(f"{tool} did not end within {SECONDS} s") from None
    if done.returncode:
        lines = done.stderr[:8192].decode(errors="replace").splitlines()
        # "guest.s: Assembler messages:" says nothing
        words_of_it = [line for line in lines if not line.endswith("Assembler messages:")]
        raise AssemblyError("; ".join(words_of_it[:3]) or f"{tool} failed without a word")
