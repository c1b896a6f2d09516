"""Fixtures for tests that run guests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.bare import Bare


@pytest.fixture
def bare() -> Iterator[Bare]:
    """A machine whose run loop the test drives."""
    from pykvm.machine import Machine
    from tests.support.bare import Bare

    with Machine("64K", stats=True, irqchip="none") as machine:
        yield Bare(machine)
