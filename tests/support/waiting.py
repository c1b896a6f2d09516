"""Waiting for what another thread, or the kernel, does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 30.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true before all patience is gone."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0)
    return True
