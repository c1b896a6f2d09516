"""Boot states in the processor: every register that a protocol names arrives."""

from __future__ import annotations

import pytest

from pykvm import Machine, Mode, StopReason
from pykvm.boot import BootState, Module
from pykvm.layout import MIB
from pykvm.memory import Gpa
from tests.unit.boot_rig import GuestRam
from tests.unit.elf_builder import Elf, Load
from tests.unit.multiboot_builder import header, read_info

pytestmark = pytest.mark.needs()

HLT = b"\xf4"
REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rip")


def test_each_general_register_has_its_value() -> None:
    values = {name: 0x1000 + number for number, name in enumerate(REGISTERS)}
    with Machine("64K") as machine:
        machine.cpus[0].load(BootState(mode=Mode.REAL, pieces=(), **values))  # type: ignore[arg-type]
        regs = machine.cpus[0].vcpu.get_regs()
        assert {name: getattr(regs, name) for name in REGISTERS} == values
        machine.load(HLT)
        regs = machine.cpus[0].vcpu.get_regs()
        assert [getattr(regs, name) for name in REGISTERS[:7]] == [0] * 7


@pytest.mark.needs("protected_mode")
def test_a_multiboot_kernel_finds_its_information() -> None:
    kernel = Elf(32, [Load(MIB, header() + HLT)], MIB + 12).build()
    with Machine("2M") as machine:
        state = machine.load(kernel, cmdline="quiet", modules=[Module("m", b"data", "text")])
        assert machine.run(timeout=10).reason is StopReason.HALTED
        regs = machine.cpus[0].vcpu.get_regs()
        assert (regs.rax, regs.rbx) == (0x2BADB002, state.rbx)

        class Ram(GuestRam):
            def read(self, address: int, size: int) -> bytes:
                return machine.memory.read(Gpa(address), size)

        info = read_info(Ram(()), regs.rbx)
    assert info.cmdline == b"quiet"
    assert info.modules is not None
    assert [m[1:] for m in info.modules] == [(b"data", b"text")]
