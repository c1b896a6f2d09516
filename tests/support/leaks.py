"""Whether something holds more of the host than it did before."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil


class Holdings(NamedTuple):
    """What this process holds that a leak would add to."""

    descriptors: dict[str, str]
    kvm_mappings: int
    guest_mappings: int
    threads: int
    timers: int

    @classmethod
    def now(cls) -> Holdings:
        """Count."""
        gc.collect()
        maps = Path("/proc/self/maps").read_text(encoding="ascii")
        timers = Path("/proc/self/timers")
        return cls(
            descriptors=_descriptors(),
            kvm_mappings=maps.count("anon_inode:kvm-vcpu"),
            guest_mappings=maps.count("pykvm-guest-ram"),
            threads=psutil.Process().num_threads(),
            timers=timers.read_text(encoding="ascii").count("ID:") if timers.exists() else 0,
        )


def _descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the one that listdir itself used
    return found


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fail when the block leaves descriptors, mappings, threads or timers."""
    before = Holdings.now()
    yield
    assert Holdings.now() == before
