"""What can be asked of a memory slot: what most machines do not ask, and need not import."""

from __future__ import annotations

from enum import IntFlag


class MemoryFlag(IntFlag):
    """What can be asked of a memory slot (KVM API 4.35)."""

    LOG_DIRTY_PAGES = 1
    READONLY = 2
