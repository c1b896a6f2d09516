"""KVM's own counts against what is done."""

from __future__ import annotations

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm.binary_stats import BinaryStats
from pykvm.machine import Machine


def test_kvm_s_own_counts() -> None:
    with Machine(memory="64K") as machine:
        machine.load(bytes.fromhex("e6 30 e6 30 e6 30 f4"))  # out 0x30, al; three times; hlt
        if not BinaryStats.is_offered(machine.vm):
            with pytest.raises(KvmIoctlError):
                BinaryStats(machine.cpus[0].vcpu)
            return
        with BinaryStats(machine.cpus[0].vcpu) as stats, BinaryStats(machine.vm) as of_vm:
            before = stats.read()["exits"].value
            machine.run(timeout=10)
            assert stats.read()["exits"].value >= before + 3
            assert stats.read()["exits"].kind == "cumulative"
            assert of_vm.read()
        stats.close()
        assert stats.fd == -1
