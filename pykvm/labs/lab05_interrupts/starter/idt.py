"""Lab 5: the interrupt descriptor table of long mode, as bytes (SDM vol. 3A, 6.14.1).

Write both functions; `python idt.py` shows a gate.
"""

VECTORS = 256


def gate(handler: int, selector: int, *, trap: bool = False, dpl: int = 0, ist: int = 0) -> bytes:
    """A 64-bit gate, 16 bytes, present.

    Args:
        handler: linear address of the handler, 64 bits.
        selector: of its code segment.
        trap: a trap gate; else an interrupt gate.
        dpl: the least privileged ring (0 to 3) that may call it by INT n.
        ist: which stack of the TSS to switch to; 0 for none.
    """
    raise NotImplementedError


def table(gates: dict[int, bytes]) -> bytes:
    """The whole table: a gate for each vector in `gates`; all others are not present."""
    raise NotImplementedError


if __name__ == "__main__":
    print(gate(0x1122334455667788, 0x08).hex(" "))
