"""What emulated machines have not is refused in one line."""

from __future__ import annotations

import pytest

from pykvm import Machine
from pykvm.cpu.model import parse_cpu
from pykvm.errors import CpuModelError, MachineError

pytestmark = pytest.mark.emulated


@pytest.mark.parametrize("irqchip", ["kernel", "split"])
def test_kvm_s_controllers_are_refused(irqchip: str) -> None:
    with pytest.raises(MachineError, match=f"irqchip {irqchip}: an emulated machine has user"):
        Machine("1M", accel="emu", irqchip=irqchip)


def test_what_only_kvm_has_is_refused_in_one_line() -> None:
    with pytest.raises(MachineError, match="2 processors: an emulated machine has one"):
        Machine("1M", accel="emu", smp=2)
    with pytest.raises(CpuModelError, match="cpu host,-sse2: an emulated processor has"):
        Machine("1M", accel="emu", cpu=parse_cpu("host,-sse2"))
    with pytest.raises(MachineError, match="accelerator 'tcg': it is one of auto, kvm, emu"):
        Machine("1M", accel="tcg")
    with Machine("1M", accel="emu") as machine:
        for ask in (
            lambda: machine.vm,
            lambda: machine.routes,
            lambda: machine.kvm_cpus,
            lambda: machine.cpus[0].loop,
            lambda: machine.cpus[0].vcpu.set_guest_debug,
        ):
            with pytest.raises(MachineError, match="the machine is emulated"):
                ask()
