"""Linux as a guest: Debian's kernel, from its first instruction to /init and off again.

`make test-svm` fetches the kernel; where it is not in the cache, these tests are skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.linux import ASKS, UP, make_initrd
from tests.svm.parts import find_guest_kernel

LONGEST = 240
"""Seconds for what an emulated processor does, too."""

Boot = Callable[..., "pexpect.spawn[bytes]"]

pytestmark = pytest.mark.needs("ring3", "sse", "int_long", "in_service")


@pytest.fixture(scope="module")
def kernel() -> Path:
    path = find_guest_kernel(fetch=False)
    if path is None:
        pytest.skip("no kernel in the cache: `make test-svm` fetches one")
    return path


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_initrd(tmp_path_factory.mktemp("linux"))


@pytest.fixture
def boot(kernel: Path, initrd: Path) -> Iterator[Boot]:
    """Boots it at a terminal, with further options of `pykvm run`."""
    children = []

    def begin(*options: str) -> pexpect.spawn[bytes]:
        command = [
            *("-m", "pykvm", "run", str(kernel), "-m", "256M", "--initrd", str(initrd)),
            *("--append", "console=ttyS0 quiet", *options),
        ]
        child: pexpect.spawn[bytes] = pexpect.spawn(sys.executable, command, timeout=LONGEST)
        child.delaybeforesend = None
        children.append(child)
        return child

    yield begin
    for child in children:
        child.close(force=True)


@pytest.mark.parametrize(
    "options",
    [
        ("--smp", "1"),
        ("--smp", "2"),
        ("--mode", "long"),
        pytest.param(("--irqchip", "user"), marks=pytest.mark.needs("interrupt_window")),
    ],
    ids=["one processor", "two", "64-bit entry", "pykvm's interrupt controllers"],
)
def test_it_boots_listens_and_switches_off(boot: Boot, options: tuple[str, str]) -> None:
    child = boot(*options)
    child.expect(UP)
    assert isinstance(child.after, bytes)
    assert child.after.endswith(b"with 2 processors" if "2" in options else b"with 1 processors")
    child.expect_exact(ASKS)
    child.send(b"hello, Linux\r")
    child.expect_exact(b"init: you typed hello, Linux")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (0, None)
