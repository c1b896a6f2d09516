"""A small Linux for tests and benchmarks: Debian's kernel, and an initial RAM disk of our own.

`python -m tests.support.linux FOLDER` makes the latter, FOLDER/initrd.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.svm.parts import PROGRAM, cpio

INIT = Path(__file__).parents[2] / "guests/linux/init.c"
"""Its first process: says UP and ASKS, gives back a line that is typed, and switches off."""

UP = rb"init: up with (\d+) processors"
ASKS = b"init: type a line"

_COMPILE = "gcc -O2 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-stack-protector"


def make_initrd(folder: Path) -> Path:
    """Compile the first process and put it into an archive.

    Args:
        folder: where both go.
    """
    init, initrd = folder / "init", folder / "initrd"
    # without vector registers: the stack is not aligned for them at the start of a process
    subprocess.run([*_COMPILE.split(), "-mgeneral-regs-only", "-o", init, INIT], check=True)
    initrd.write_bytes(cpio({"init": (PROGRAM, init.read_bytes())}))
    return initrd


if __name__ == "__main__":
    print(make_initrd(Path(sys.argv[1])))
