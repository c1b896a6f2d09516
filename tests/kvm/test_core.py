"""Cores of machines that have run: their registers, and page tables as KVM sees them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pykvm import Machine
from pykvm.debug.corefile import PHYSICAL_WINDOW
from pykvm.debug.corenotes import CpuState
from pykvm.debug.mappings import find_mappings
from pykvm.debug.page_entries import Controls
from pykvm.x86 import Mode
from tests.support.cores import NT_FPREGSET, NT_PRSTATUS, core_of

HALT_WITH_ESI = bytes.fromhex(
    "be 78 56 34 12"  # mov esi, 0x12345678
    "f4"  # hlt
)


@pytest.mark.needs("long_mode")
def test_a_machine_in_long_mode(tmp_path: Path) -> None:
    with Machine("16M") as machine:
        machine.load(HALT_WITH_ESI, mode=Mode.LONG)
        machine.run(timeout=60)
        vcpu = machine.cpus[0].vcpu
        regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
        state = CpuState(0, regs, sregs, vcpu.get_fpu())
        core = core_of(tmp_path / "core", machine.memory, state)
        mapped = find_mappings(Controls.of(sregs), machine.memory)
        for found in mapped.ranges:
            for linear in (found.linear, found.linear + found.size - 1):
                assert vcpu.translate(linear) == found.gpa + linear - found.linear
    assert sum(found.size for found in mapped.ranges) == 16 << 20
    (status,) = core.all(b"CORE", NT_PRSTATUS)
    assert struct.unpack_from("<27Q", status, 112)[13] == 0x1234_5678
    assert len(core.all(b"CORE", NT_FPREGSET)) == 1
    assert core.at(0x1000, 6) == HALT_WITH_ESI
    assert core.at(PHYSICAL_WINDOW + 0x1000, 6) == HALT_WITH_ESI
