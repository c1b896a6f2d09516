"""Flags that a service returns: in the image that INT pushed, wherever on the stack that is."""

from __future__ import annotations

import pytest

from pykvm.memory import Gpa
from pykvm.x86 import Rflags
from tests.unit.bios.rig import Rig

NO_SUCH_SERVICE = 0xFF00


@pytest.mark.parametrize("sp", [0x6000, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFE, 0xFFFF])
def test_the_stack_wraps_around_at_64_kib(rig: Rig, sp: int) -> None:
    """At FFFC IP and CS are the segment's last bytes, and FLAGS its first."""
    beyond = rig.memory.read(Gpa(0x1_0000), 8)
    result = rig.call(0x15, ax=NO_SUCH_SERVICE, sp=sp)
    assert result.carry
    assert rig.memory.read(Gpa(0x1_0000), 8) == beyond
    clear = rig.call(0x15, ax=0x8000, sp=sp, flags=Rflags.FIXED | Rflags.CF)
    assert not clear.carry
