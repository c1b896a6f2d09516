"""Run ticks.bin for some time, with a small program at 0x3000 that waits; then tell what came.

`pykvm lab asm` first, then `python try_ticks.py`.
"""

from pathlib import Path

from pykvm.kvm.chipstate import Chip
from pykvm.machine import Machine
from pykvm.memory import Gpa

PROGRAM = bytes.fromhex("f4 eb fd")  # hlt; jmp to it: waits for interrupts, for ever

with Machine("1M") as machine:
    machine.load(Path("ticks.bin"), bios=False)
    machine.memory.write(Gpa(0x3000), PROGRAM)
    print(machine.run(timeout=1).reason.value)
    master = machine.irqchip.get_pic(Chip.PIC_MASTER)
    slave = machine.irqchip.get_pic(Chip.PIC_SLAVE)
    ticks = int.from_bytes(machine.memory.read(Gpa(0x500), 2), "little")
    print(f"{ticks} ticks in a second")
    for name, pic in (("master", master), ("slave", slave)):
        print(
            f"{name}: base {pic.irq_base:#x} IMR {pic.imr:08b} IRR {pic.irr:08b} ISR {pic.isr:08b}"
        )
