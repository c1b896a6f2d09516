"""Fixtures for tests that run guests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.bare import Bare
    from tests.support.debugged import MakeDebugger


@pytest.fixture(params=["kvm", pytest.param("emu", marks=pytest.mark.emulated)])
def accel(request: pytest.FixtureRequest) -> str:
    """Each accelerator; the emulator's tests need no KVM."""
    name: str = request.param
    return name


@pytest.fixture
def debugged(accel: str) -> MakeDebugger:
    """`tests.support.debugged.debugged` for each of them."""
    from tests.support.debugged import debugged

    return partial(debugged, accel=accel)


@pytest.fixture
def bare() -> Iterator[Bare]:
    """A machine whose run loop the test drives."""
    from pykvm.machine import Machine
    from tests.support.bare import Bare

    with Machine("64K", stats=True, irqchip="none") as machine:
        yield Bare(machine)
