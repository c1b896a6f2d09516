"""Lab 6: 64-bit mode at once, without the way through real and protected mode.

Write `enter`.  `python longmode.py` runs a guest whose code is mapped at 1 TiB.
"""

from pykvm.kvm.registers import Sregs

CR0_PE, CR0_PG = 1 << 0, 1 << 31
CR4_PAE = 1 << 5
EFER_LME, EFER_LMA, EFER_NXE = 1 << 8, 1 << 10, 1 << 11


def enter(sregs: Sregs, cr3: int) -> None:
    """Change a new processor's special registers: 64-bit code in ring 0, paging from `cr3` on.

    Execute-disable works; CS has selector 0x08; DS, ES and SS 0x10.  All else stays.
    """
    raise NotImplementedError


if __name__ == "__main__":
    from guest import run
    from tables import RW, Mapping, build

    CODE = bytes.fromhex(
        "48 b8 88 77 66 55 44 33 22 11"  # mov rax, 0x1122334455667788
        "50"  # push rax
        "f4"  # hlt
    )
    FAR = 1 << 40
    tables = build([Mapping(FAR, 0x1000, 4096, RW), Mapping(FAR + 4096, 0x2000, 4096, RW)], 0x8000)
    print(run(CODE, tables, 0x8000, FAR, FAR + 0x2000))
