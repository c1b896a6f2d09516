"""A machine that has run takes another image as a new one would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykvm import Machine, Mode, StopReason
from pykvm.kvm.state import DebugRegs

LSTAR, SYSTEM_TIME = 0xC000_0082, 0x4B56_4D01

FILL_XMM0 = bytes.fromhex(
    "b8 03 00 00 00"  # mov eax, 3
    "f2 0f 2a c0"  # cvtsi2sd xmm0, eax
    "f4"  # hlt
)
TELL_XMM0 = bytes.fromhex(
    "66 48 0f 7e c0"  # movq rax, xmm0
    "f4"  # hlt
)
HALT = b"\xf4"  # hlt


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine("1M") as new:
        yield new


def run(machine: Machine, code: bytes) -> None:
    machine.load(code, mode=Mode.LONG)
    assert machine.run(timeout=10).reason is StopReason.HALTED


@pytest.mark.needs("sse")
def test_vector_registers_are_clear_again(machine: Machine) -> None:
    run(machine, FILL_XMM0)
    run(machine, TELL_XMM0)
    assert machine.cpus[0].vcpu.get_regs().rax == 0


def test_msrs_are_as_at_first(machine: Machine) -> None:
    """KVM goes on writing the time to where SYSTEM_TIME says: into the next image, if it stays."""
    vcpu = machine.cpus[0].vcpu
    at_first = vcpu.get_msrs([LSTAR, SYSTEM_TIME])
    run(machine, HALT)
    vcpu.set_msrs({LSTAR: 0x1234_5678, SYSTEM_TIME: 0x8000 | 1})
    run(machine, HALT)
    assert vcpu.get_msrs([LSTAR, SYSTEM_TIME]) == at_first


def test_debug_registers_are_as_at_first(machine: Machine) -> None:
    run(machine, HALT)
    machine.cpus[0].vcpu.set_debugregs(DebugRegs(db=(1, 2, 3, 4), dr7=0x455))
    run(machine, HALT)
    assert machine.cpus[0].vcpu.get_debugregs() == DebugRegs()


def test_what_was_pending_is_forgotten(machine: Machine) -> None:
    """An NMI that the last guest blocked would come in the midst of the next one."""
    run(machine, HALT)
    vcpu = machine.cpus[0].vcpu
    events = vcpu.get_vcpu_events()
    events.nmi_masked = 1
    events.nmi_pending = 1
    vcpu.set_vcpu_events(events)
    assert vcpu.get_vcpu_events().nmi_masked == 1
    run(machine, HALT)
    assert vcpu.get_vcpu_events().nmi_masked == 0
    assert vcpu.get_vcpu_events().nmi_pending == 0
