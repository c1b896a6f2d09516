"""What HLT means on a machine with interrupt controllers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykvm import Machine, Stop, StopReason
from pykvm.kvm import (
    IrqChip,
    ioctl,
)
from pykvm.kvm.decode import REASONS
from pykvm.layout import COM1_IRQ
from pykvm.memory import Gpa
from tests.support.processors import HALT, WAIT
from tests.support.small_guests import OUT_30_THEN_HALT, Recorder

LVT_LINT1 = 0x360
NMI_MODE = 4 << 8
IOAPIC_EOI = REASONS.index("IOAPIC_EOI")


@pytest.mark.parametrize("irqchip", ["kernel", "split"])
def test_halting_with_interrupts_on_is_not_the_end(irqchip: str) -> None:
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(WAIT)
        assert machine.run(timeout=0.1).reason is StopReason.TIMEOUT


def test_whoever_takes_interrupts_is_known_to_wake_without_an_ioctl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Machine("64K") as machine:
        machine.load(WAIT)
        assert machine.run(timeout=0.1).reason is StopReason.TIMEOUT
        asked: list[str] = []
        monkeypatch.setattr(ioctl, "call", lambda fd, name, argument=0: asked.append(name))
        assert not machine.cpus[0].sleeps_for_ever()
        assert asked == []


@pytest.mark.parametrize("irqchip", ["kernel", "split", "user", "none"])
def test_halting_with_interrupts_off_is_the_end(irqchip: str) -> None:
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(HALT)
        assert machine.run(timeout=10) == Stop(StopReason.HALTED)


def test_a_halted_processor_stays_halted() -> None:
    with Machine("64K") as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(HALT + OUT_30_THEN_HALT)
        for _ in range(2):
            assert machine.run(timeout=10).reason is StopReason.HALTED
        assert device.seen == []


@pytest.mark.needs("nmi")
@pytest.mark.parametrize("irqchip", ["kernel", "split"])
def test_an_nmi_wakes_it_when_it_is_run_again(irqchip: str) -> None:
    with Machine("64K", irqchip=irqchip) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(HALT)
        machine.memory.write_uint(Gpa(2 * 4), 4, 0x3000)  # its vector
        machine.memory.write(Gpa(0x3000), OUT_30_THEN_HALT)
        machine.run(timeout=10)
        machine.cpus[0].vcpu.nmi()
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert len(device.seen) == 1


def test_an_ioapic_entry_that_delivers_nmis_could_wake_it() -> None:
    with Machine("64K") as machine:
        assert isinstance(machine.irqchip, IrqChip)
        state = machine.irqchip.get_ioapic()
        table = [*state.redirection]
        table[COM1_IRQ] = NMI_MODE
        machine.irqchip.set_ioapic(replace(state, redirection=tuple(table)))
        machine.load(HALT)
        assert machine.run(timeout=0.1).reason is StopReason.TIMEOUT
        machine.irqchip.set_ioapic(state)
        assert machine.run(timeout=10).reason is StopReason.HALTED


@pytest.mark.parametrize("irqchip", ["kernel", "split"])
def test_a_pin_that_brings_nmis_could_wake_it(irqchip: str) -> None:
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(HALT)
        vcpu = machine.cpus[0].vcpu
        registers = vcpu.get_lapic()
        changed = bytearray(registers)
        changed[LVT_LINT1 : LVT_LINT1 + 4] = NMI_MODE.to_bytes(4, "little")
        changed[0xF0:0xF4] = bytes.fromhex("ff 01 00 00")  # enabled: else all are masked
        vcpu.set_lapic(bytes(changed))
        assert machine.run(timeout=0.1).reason is StopReason.TIMEOUT
        vcpu.set_lapic(registers)
        assert machine.run(timeout=10).reason is StopReason.HALTED
