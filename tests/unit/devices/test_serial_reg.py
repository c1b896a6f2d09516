"""The UART's constants are those of the kernel's header."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from pykvm.devices import serial_reg

NAMES = [name for name in vars(serial_reg) if re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)*", name)]


@pytest.fixture(scope="module")
def header() -> dict[str, int]:
    """The plain numbers that linux/serial_reg.h defines, as the compiler sees them."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc to read linux/serial_reg.h with")
    macros = subprocess.run(
        [gcc, "-E", "-dM", "-"],
        input="#include <linux/serial_reg.h>\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.findall(r"^#define UART_(\w+) (0x[0-9a-fA-F]+|\d+)$", macros, re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


def test_there_is_something_to_compare() -> None:
    assert len(NAMES) > 50


@pytest.mark.parametrize("name", NAMES)
def test_constant_equals_the_header(header: dict[str, int], name: str) -> None:
    assert header[name] == getattr(serial_reg, name)
