"""Run faults.bin with the table that idt.py makes, in pykvm's emulator: it needs no /dev/kvm.

`pykvm lab asm` first, then `python try_faults.py`.
"""

from pathlib import Path

from idt import gate, table

from pykvm.machine import Machine
from pykvm.memory import Gpa
from pykvm.x86 import Mode

CODE = 0x08  # the selector of 64-bit code, as pykvm's GDT has it
PROGRAM, TABLE, IDTR = 0x3000, 0x4000, 0x700
program = bytes.fromhex(
    "0f 01 1c 25 00 07 00 00"  # lidt [0x700]
    "0f 0b"  # ud2
    "bf 02 00 00 00"  # mov edi, 2
    "be 03 00 00 00"  # mov esi, 3
    "cd 30"  # int 0x30
    "f4"  # hlt
)

image = Path("faults.bin64").read_bytes()
handlers = [int.from_bytes(image[i : i + 8], "little") for i in (0, 8, 16)]
gates = {
    vector: gate(handler, CODE) for vector, handler in zip((6, 14, 0x30), handlers, strict=True)
}

with Machine("16M", accel="emu") as machine:
    machine.load(image.ljust(PROGRAM - 0x1000, b"\0") + program, mode=Mode.LONG, entry=PROGRAM)
    machine.memory.write(Gpa(TABLE), table(gates))
    machine.memory.write(Gpa(IDTR), (4095).to_bytes(2, "little") + TABLE.to_bytes(8, "little"))
    print(machine.run(timeout=2).reason.value)
    undefined = int.from_bytes(machine.memory.read(Gpa(0x500), 8), "little")
    print(f"{undefined} UD2; INT 0x30 gave {machine.cpus[0].vcpu.get_regs().rax}")
