"""HLT on an emulated processor: what it waits for, and whether it does."""

from __future__ import annotations

import pytest

from pykvm import Machine, Mode, StopReason

pytestmark = pytest.mark.emulated


def test_a_guest_sleeps_for_good_where_no_interrupt_may_come() -> None:
    with Machine("1M", accel="emu") as machine:
        machine.load(b"\xfb\xf4", mode=Mode.REAL)  # sti; hlt: the controllers are not set up
        assert machine.run(timeout=60).reason is StopReason.HALTED


def test_without_controllers_the_next_run_goes_on_behind_hlt() -> None:
    """As with KVM: there is no interrupt that it could wait for."""
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.load(b"\xf4\xb0\x05\xf4", mode=Mode.REAL)  # hlt; mov al, 5; hlt
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.run(timeout=10).reason is StopReason.HALTED
        regs = machine.cpus[0].vcpu.get_regs()
        assert (regs.rax, regs.rip) == (5, 0x1004)
