"""Programs that others wrote, from Debian's packages, where they are installed.

`.ci/run` installs them; where a file is missing, its tests are skipped.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykvm import Machine, StopReason
from pykvm.bios import Disk
from pykvm.devices.sinks import BufferSink

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


@pytest.mark.needs("int_protected")
def test_ipxe_starts_from_a_disk() -> None:
    """ISOLINUX reads iPXE with EDD calls; iPXE looks for PCI and ISA cards, and finds none."""
    image = installed("/usr/lib/ipxe/ipxe.iso", "ipxe")
    teletype = BufferSink()
    with Disk(image, readonly=True) as disk, Machine("64M", teletype=teletype) as machine:
        machine.boot([disk])
        assert machine.run(timeout=LONGEST).reason is StopReason.NOT_BOOTED
    assert b"ISOLINUX" in teletype.data
    assert b"iPXE initialising devices...ok" in teletype.data
    assert b"No more network devices" in teletype.data
