"""A machine's interrupt controllers, its devices' lines, and what HLT means beside them."""

from __future__ import annotations

import errno
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pykvm import Device, Machine, StopReason
from pykvm.controllers import SplitControllers
from pykvm.errors import KvmIoctlError
from pykvm.kvm import (
    Chip,
    IrqChip,
    MpState,
    MsiRoute,
    Pit,
    SplitIrqChip,
    ioctl,
    set_gsi_routing,
    signal_msi,
)
from pykvm.kvm.decode import REASONS
from pykvm.layout import CMOS_IRQ, COM1, COM1_IRQ, KEYBOARD_IRQ, MOUSE_IRQ
from pykvm.memory import Gpa
from tests.support.processors import HALT, WAIT, X2APIC_ON
from tests.support.small_guests import SPIN

LAPIC = 0xFEE0_0000
LEVEL = 1 << 15
VECTOR = 0x40
IOAPIC_EOI = REASONS.index("IOAPIC_EOI")

ENABLE_TRANSMITTER_INTERRUPT = bytes.fromhex(
    "ba fc 03"  # mov dx, 0x3fc (MCR)
    "b0 08"  # mov al, 8 (OUT2)
    "ee"  # out dx, al
    "ba f9 03"  # mov dx, 0x3f9 (IER)
    "b0 02"  # mov al, 2
    "ee"  # out dx, al
)


def handle(machine: Machine, vector: int, code: bytes) -> None:
    """Put a real-mode handler to 0000:3000."""
    machine.memory.write_uint(Gpa(vector * 4), 4, 0x3000)
    machine.memory.write(Gpa(0x3000), code)


@pytest.mark.parametrize(
    ("name", "chip", "timer"),
    [
        ("kernel", IrqChip, Pit),
        ("split", SplitIrqChip, type(None)),
        ("user", type(None), type(None)),
        ("none", type(None), type(None)),
    ],
)
def test_what_is_in_the_kernel_can_be_reached(name: str, chip: type, timer: type) -> None:
    with Machine("64K", irqchip=name) as machine:
        assert type(machine.irqchip) is chip
        assert type(machine.pit) is timer


def test_the_kernel_has_them_by_default() -> None:
    with Machine("64K") as machine:
        assert isinstance(machine.irqchip, IrqChip)


@pytest.mark.parametrize(
    ("irq", "chip"),
    [
        (KEYBOARD_IRQ, Chip.PIC_MASTER),
        (COM1_IRQ, Chip.PIC_MASTER),
        (CMOS_IRQ, Chip.PIC_SLAVE),
        (MOUSE_IRQ, Chip.PIC_SLAVE),
    ],
)
def test_a_device_s_line_is_a_level_at_both_controllers(irq: int, chip: Chip) -> None:
    with Machine("64K") as machine:
        irqchip = machine.irqchip
        assert isinstance(irqchip, IrqChip)
        line = machine._lines.shared[irq].line
        state = irqchip.get_ioapic()
        table = [*state.redirection]
        table[irq] = LEVEL | 1 << 16  # masked, or it would be delivered
        irqchip.set_ioapic(replace(state, redirection=tuple(table)))
        line.set(True)
        assert irqchip.get_pic(chip).last_irr == 1 << irq % 8
        assert irqchip.get_ioapic().irr & 1 << irq
        line.set(False)
        assert irqchip.get_pic(chip).last_irr == 0
        assert not irqchip.get_ioapic().irr & 1 << irq


def test_the_uart_drives_its_line() -> None:
    with Machine("64K") as machine:
        assert isinstance(machine.irqchip, IrqChip)
        machine.load(ENABLE_TRANSMITTER_INTERRUPT + HALT)
        machine.run(timeout=10)
        assert machine.irqchip.get_pic(Chip.PIC_MASTER).irr == 1 << COM1_IRQ


@pytest.mark.parametrize("irqchip", ["split", "none"])
def test_lines_may_lead_nowhere(irqchip: str) -> None:
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(ENABLE_TRANSMITTER_INTERRUPT + HALT)
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine._lines.shared[COM1_IRQ].line.level


def refuse_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ioctl.call

    def call(fd: int, name: str, argument: Any = 0) -> int:
        if name == "KVM_IRQ_LINE":
            raise KvmIoctlError(name, errno.ENOMEM)
        return real(fd, name, argument)

    monkeypatch.setattr(ioctl, "call", call)


def test_a_line_that_the_host_refuses_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with Machine("64K") as machine:
        machine.load(ENABLE_TRANSMITTER_INTERRUPT + SPIN)
        refuse_lines(monkeypatch)
        with pytest.raises(KvmIoctlError, match="KVM_IRQ_LINE"):
            machine.run(timeout=10)


def test_a_refusal_in_another_thread_is_the_run_s_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that moves input in could do nothing about it."""
    with Machine("64K") as machine:
        machine.load(SPIN)
        with machine.lock:
            machine.ports.write(COM1 + 4, 1, 8)  # OUT2
            machine.ports.write(COM1 + 1, 1, 1)  # receiver interrupts
        refuse_lines(monkeypatch)
        assert machine.send(b"x") == 1
        with pytest.raises(KvmIoctlError, match="KVM_IRQ_LINE"):
            machine.run(timeout=10)


def test_a_closed_machine_s_line_leads_nowhere() -> None:
    machine = Machine("64K")
    machine.close()
    machine._lines.shared[COM1_IRQ].line.set(True)


def test_the_timer_has_the_speaker_s_port() -> None:
    code = bytes.fromhex(
        "e4 61"  # in al, 0x61
    )
    with Machine("64K", strict=True) as machine:
        machine.load(code + HALT)
        assert machine.run(timeout=10).reason is StopReason.HALTED


def test_another_image_finds_the_controllers_as_new() -> None:
    disturb = bytes.fromhex(
        "b0 11"  # mov al, 0x11
        "e6 20"  # out 0x20, al
        "b0 50"  # mov al, 0x50
        "e6 21"  # out 0x21, al
        "b0 36"  # mov al, 0x36
        "e6 43"  # out 0x43, al
    )
    with Machine("64K") as machine:
        assert isinstance(machine.irqchip, IrqChip)
        assert machine.pit is not None
        pic, ioapic = machine.irqchip.get_pic(Chip.PIC_MASTER), machine.irqchip.get_ioapic()
        mode, lapic = machine.pit.get_state().channels[0].mode, machine.cpus[0].vcpu.get_lapic()
        machine.load(disturb + X2APIC_ON + HALT)
        machine.run(timeout=10)
        assert machine.irqchip.get_pic(Chip.PIC_MASTER) != pic
        assert machine.pit.get_state().channels[0].mode != mode
        assert machine.cpus[0].vcpu.get_sregs().apic_base & 0x400
        machine.load(HALT)
        assert machine.irqchip.get_pic(Chip.PIC_MASTER) == pic
        assert machine.irqchip.get_ioapic() == ioapic
        assert machine.pit.get_state().channels[0].mode == mode
        assert not machine.cpus[0].vcpu.get_sregs().apic_base & 0x400
        assert machine.cpus[0].vcpu.get_lapic() == lapic
        assert machine.cpus[0].vcpu.get_mp_state() is MpState.RUNNABLE


def test_another_image_finds_the_lines_as_devices_hold_them() -> None:
    with Machine("64K") as machine:
        assert isinstance(machine.irqchip, IrqChip)
        machine.load(ENABLE_TRANSMITTER_INTERRUPT + HALT)
        machine.run(timeout=10)
        machine.load(HALT)
        assert machine.irqchip.get_pic(Chip.PIC_MASTER).irr == 1 << COM1_IRQ


def listen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The vectors whose end the split controllers will have heard of."""
    heard: list[int] = []

    def end_of_interrupt(_: SplitControllers, vector: int) -> None:
        heard.append(vector)

    monkeypatch.setattr(SplitControllers, "end_of_interrupt", end_of_interrupt)
    return heard


@pytest.mark.needs("split_irqchip", "in_service")
def test_a_split_irqchip_tells_of_the_end_of_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(
        SplitControllers, "end_of_interrupt", lambda _, vector: heard.append(vector)
    )
    enable_apic = bytes.fromhex(
        "66 b9 0f 08 00 00"  # mov ecx, 0x80f (spurious vector)
        "66 b8 ff 01 00 00"  # mov eax, 0x1ff
        "66 31 d2"  # xor edx, edx
        "0f 30"  # wrmsr
        "e6 30"  # out 0x30, al
    )
    end_of_interrupt = bytes.fromhex(
        "66 b9 0b 08 00 00"  # mov ecx, 0x80b
        "66 31 c0"  # xor eax, eax
        "66 31 d2"  # xor edx, edx
        "0f 30"  # wrmsr
    )
    with Machine("64K", irqchip="split") as machine:

        class Interrupting(Device):
            def write(self, offset: int, size: int, value: int) -> None:
                signal_msi(machine.vm, LAPIC, LEVEL | 1 << 14 | VECTOR)

        machine.ports.attach(0x30, 1, Interrupting())
        set_gsi_routing(machine.vm, [MsiRoute(3, LAPIC, LEVEL | VECTOR)])
        machine.load(X2APIC_ON + enable_apic + WAIT)
        handle(machine, VECTOR, end_of_interrupt + HALT)
        assert machine.run(timeout=10).reason is StopReason.HALTED
    assert heard == [VECTOR]


def test_what_a_split_irqchip_tells_reaches_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(
        SplitControllers, "end_of_interrupt", lambda _, vector: heard.append(vector)
    )
    with Machine("64K", irqchip="split") as machine:
        cpu = machine.cpus[0]
        details = SimpleNamespace(vector=VECTOR)
        enter, reasons = cpu.loop.enter, [IOAPIC_EOI]
        monkeypatch.setattr(cpu.vcpu.page, "details", lambda: details)
        monkeypatch.setattr(cpu.loop, "enter", lambda: reasons.pop() if reasons else enter())
        machine.load(HALT)
        assert machine.run(timeout=10).reason is StopReason.HALTED
    assert heard == [VECTOR]


def test_lines_that_meet_at_a_pin_of_the_split_ioapic_are_ored() -> None:
    """The timer's ISA interrupt and global system interrupt 2, which the test device drives."""
    with Machine("64K", irqchip="split", testdev=True) as machine:
        assert isinstance(machine._controllers, SplitControllers)
        pin = machine._controllers._ioapic.line(2)
        machine.ports.write(0x2000, 1, 1)
        machine.ports.write(0x2002, 1, 1)
        machine.ports.write(0x2002, 1, 0)
        assert pin.level
        machine.ports.write(0x2000, 1, 0)
        assert not pin.level


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_a_message_that_nobody_answers_to_is_the_guest_s_affair(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, name: str, argument: object = 0) -> int:
        raise KvmIoctlError(name, number)

    with Machine("64K", irqchip="split") as machine:
        controllers = machine._controllers
        assert isinstance(controllers, SplitControllers)
        with monkeypatch.context() as patch:
            patch.setattr(ioctl, "call", refuse)
            if number == errno.EPERM:
                assert not controllers._deliver(0xFEE00000, 0x4030)
            else:
                with pytest.raises(KvmIoctlError):
                    controllers._deliver(0xFEE00000, 0x4030)
