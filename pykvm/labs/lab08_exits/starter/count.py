"""Runs your printers, and counts: complete, for you to use.

python count.py printer         prints a text character by character on the Printer of printer.py
python count.py batch           lets driver.bin (`pykvm lab asm`) print one on the BatchPrinter
"""

import sys
from pathlib import Path

from pykvm.errors import PykvmError
from pykvm.labs.lab08_exits.batching import BASE, HOW_MUCH, PORTS, RESULT, WHERE
from pykvm.labs.lab08_exits.printing import Counted, polling_guest, run_printer
from pykvm.machine import Machine
from pykvm.memory import Gpa

TEXT = bytes(range(0x20, 0x7F)) * 200
PLACE = 0x20000


def tell(end: str, right: bool, length: int, exits: int, dispatches: int) -> None:
    """One line of counts."""
    print(
        f"{end}; printed {'right' if right else 'WRONG'}: {length} bytes, {exits} exits "
        f"({exits / length:.4f} a byte), {dispatches} of them reached Python"
    )


def count_printer() -> None:
    """A guest that polls before each character."""
    from printer import Printer

    text, sent = TEXT[:2000], bytearray()
    end, exits, dispatches, _ = run_printer(Printer(sent.extend), polling_guest(len(text)), text)
    tell(end, sent == text, len(text), exits, dispatches)


def count_batch() -> None:
    """Your driver."""
    from batch import BatchPrinter

    sent = bytearray()
    with Machine("1M", irqchip="none", stats=True) as machine:
        counted = Counted(BatchPrinter(machine.memory, sent.extend))
        machine.ports.attach(BASE, PORTS, counted)
        machine.load(Path("driver.bin"), bios=False)
        machine.memory.write(Gpa(PLACE), TEXT)
        machine.memory.write_uint(Gpa(WHERE), 4, PLACE)
        machine.memory.write_uint(Gpa(HOW_MUCH), 4, len(TEXT))
        end = machine.run(timeout=5).reason.value
        exits = machine.stats().exits.get("KVM_EXIT_IO", 0)
        tell(end, sent == TEXT, len(TEXT), exits, counted.dispatches)
        print(f"the driver says {machine.memory.read_uint(Gpa(RESULT), 4)}")


if __name__ == "__main__":
    what = {"printer": count_printer, "batch": count_batch}.get(" ".join(sys.argv[1:]))
    if what is None:
        sys.exit("python count.py printer|batch")
    try:
        what()
    except (PykvmError, OSError) as error:
        sys.exit(f"count: {error}")
