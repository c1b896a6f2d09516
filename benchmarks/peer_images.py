"""What the side-by-side benchmarks run: their guests, and the C programs they compare with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
HELLO = HERE.parent / "guests" / "hello.bin"
GREETING = b"Hello from the guest! I am 16-bit code on a virtual CPU.\n"
ENDED = 1
"""What a hypervisor ends with where these guests write 0 to the debug-exit port."""

BLOCKS_AT = slice(4, 6)
ACCESSES = 64
"""In one block of exits_rom.s."""


class Images(NamedTuple):
    """The programs, as files.

    Attributes:
        rom: hello_rom.s, firmware that greets.
        kernel: hello_kernel.s, a Multiboot kernel that greets.
        exits: exits_rom.s, firmware that times accesses to ports.
        vmm: hello_vmm.c, the bare VMM.
    """

    rom: Path
    kernel: Path
    exits: Path
    vmm: Path


def build_images(folder: Path, blocks: int) -> Images:
    """Build them all in `folder`; the timing guest times `blocks` blocks a port."""
    images = Images(*(folder / name for name in ("rom.bin", "kernel.bin", "exits.bin", "vmm")))
    build_guest("hello_rom", images.rom)
    build_guest("hello_kernel", images.kernel)
    build_guest("exits_rom", images.exits)
    images.exits.write_bytes(with_blocks(images.exits.read_bytes(), blocks))
    run_gcc("-O2", "-o", images.vmm, HERE / "hello_vmm.c")
    return images


def build_guest(name: str, image: Path) -> None:
    """Assemble one of guests/*.s, as bytes for address 0."""
    run_gcc(
        *("-m32", "-nostdlib", "-static", "-no-pie", f"-Wa,-I{HERE / 'guests'}"),
        *("-Wl,--build-id=none,-Ttext=0,-e0,--oformat=binary", "-o", image),
        HERE / "guests" / f"{name}.s",
    )


def with_blocks(image: bytes, blocks: int) -> bytes:
    """The timing guest's image, told how many blocks of accesses to time (1 to 65535)."""
    told = bytearray(image)
    told[BLOCKS_AT] = blocks.to_bytes(2, "little")
    return bytes(told)


def run_gcc(*arguments: str | Path) -> None:
    """Compile, or end with the compiler's words."""
    if subprocess.run(("gcc", *arguments), check=False).returncode != 0:
        sys.exit("the benchmarks need gcc and Linux's headers")


def pykvm_command(*arguments: str | Path) -> list[str]:
    """`pykvm run ...` of this Python's environment."""
    return [str(Path(sys.executable).with_name("pykvm")), "run", *map(str, arguments)]
