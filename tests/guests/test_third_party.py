"""Programs that others wrote, from Debian's packages, where they are installed.

`.ci/run` installs them; where a file is missing, its tests are skipped.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykvm import Machine, StopReason

LONGEST = 120
"""Seconds that an emulated processor may need."""

ESCAPES = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")


def installed(path: str, package: str) -> str:
    """A file of a Debian package, or a skip."""
    if not Path(path).exists():
        pytest.skip(f"{path} is not there (Debian: apt-get install {package})")
    return path


def run_until(machine: Machine, pattern: bytes) -> bytes:
    """Let a guest run until its output, less terminal escapes, has `pattern`; returns that."""
    for _ in range(LONGEST):
        assert machine.run(timeout=1).reason is StopReason.TIMEOUT
        text = ESCAPES.sub(b" ", machine.output)
        if re.search(pattern, text, re.DOTALL):
            return text
    raise AssertionError(f"{pattern!r} did not come; the end is {text[-1000:]!r}")


@pytest.mark.needs("sse", "x87", "int_long")
@pytest.mark.parametrize("smp", [1, 2])
def test_memtest86_tests_memory(smp: int) -> None:
    """By its header it is a Linux kernel; it finds RAM by E820 and processors by ACPI."""
    image = installed("/boot/memtest86+x64.bin", "memtest86+")
    with Machine("64M", smp=smp) as machine:
        machine.load(image, cmdline="console=ttyS0,115200")
        text = run_until(machine, rb"Status: Testing.*Errors: 0 .*#4 ")
        assert rf"{smp} Cores".encode() in text
        assert b"63.6MB" in text
