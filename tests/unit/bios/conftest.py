"""A `Rig` for each test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pykvm.bios import Disk
from tests.unit.bios.rig import Rig


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Makes rigs: call it as the class; they and their disks are closed after the test."""
    with ExitStack() as stack:

        def make(*disks: Disk, **options: Any) -> Rig:
            for disk in disks:
                stack.callback(disk.close)
            rig = Rig(*disks, **options)
            stack.callback(rig.close)
            return rig

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """One without disks."""
    return make_rig()
