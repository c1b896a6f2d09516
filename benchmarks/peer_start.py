"""What printing a line from a guest takes from the command on: pykvm, QEMU with KVM, a VMM in C.

    python benchmarks/peer_start.py [ROUNDS]

Whole processes; the time until the first byte of the greeting is read from their output; and the
processor time they take, which tells more where others want the processors, too.  All print the
text of guests/hello.s, byte by byte to a polled UART:

- hello.bin: that guest, which ends with HLT.  QEMU takes no flat images, so it runs the ROM.
- ROM: guests/hello_rom.s, firmware, the same file under both: QEMU at its fastest, since nothing
  of its own runs before the guest.
- kernel: guests/hello_kernel.s, a Multiboot kernel, the same file under both.  QEMU brings
  firmware that starts it, pykvm enters it.

Bytecode is cached, as after any first run.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pairs import host_line, take_turns, users_environment
from peer_images import ENDED, GREETING, HELLO, Images, build_images, pykvm_command
from peer_qemu import Qemu, find_qemu
from peer_table import Figure

ROUNDS = 40
GOAL = 0.75
PASS = "`python3 -c pass`"


class Times(NamedTuple):
    """What a process took, in ms.

    Attributes:
        first: to the first byte it printed, or to its end.
        whole: to its end.
        processor: user and system time.
    """

    first: float
    whole: float
    processor: float


def time_start(command: Sequence[str | Path], says: bytes, status: int) -> Times:
    """Run a command to its end, which must come as told.

    Args:
        command: what to run.
        says: its whole output.
        status: its exit status.
    """
    before = processor_time()
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=users_environment(),
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read(1)
        first = time.perf_counter()
        while more := process.stdout.read(4096):
            said += more
    end = time.perf_counter()
    if said != says or process.returncode != status:
        sys.exit(f"peer_start: {command[0]} ended with {process.returncode} and said {said!r}")
    used = processor_time() - before
    return Times((first - start) * 1e3, (end - start) * 1e3, used * 1e3)


def processor_time() -> float:
    """What the processes took that this one has waited for, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(images: Images, qemu: Qemu | None, rounds: int) -> list[Figure]:
    """Compare, in `rounds` rounds."""
    measures: dict[str, Callable[[], Times]] = {
        "`pykvm run hello.bin`": partial(time_start, pykvm_command(HELLO), GREETING, 0),
        "`pykvm run --bios ROM`": partial(
            time_start, pykvm_command("--bios", images.rom), GREETING, ENDED
        ),
        "`pykvm run KERNEL`": partial(time_start, pykvm_command(images.kernel), GREETING, ENDED),
        "VMM in C, hello.bin": partial(time_start, (images.vmm, HELLO), GREETING, 0),
        PASS: partial(time_start, (sys.executable, "-c", "pass"), b"", 0),
    }
    if qemu is not None:
        measures["QEMU microvm, ROM"] = partial(
            time_start, qemu.command("microvm", "-bios", images.rom), GREETING, ENDED
        )
        measures["QEMU microvm, kernel"] = partial(
            time_start, qemu.command("microvm", "-kernel", images.kernel), GREETING, ENDED
        )
        measures["QEMU pc, ROM"] = partial(
            time_start, qemu.command("pc", "-bios", images.rom), GREETING, ENDED
        )
    return figures(tuple(measures), take_turns(tuple(measures.values()), rounds))


def figures(names: Sequence[str], taken: Sequence[Sequence[Times]]) -> list[Figure]:
    """The comparisons, of those that there are.

    Args:
        names: what was started.
        taken: for each round and name what it took.
    """
    pairs_of_names = (
        ("`pykvm run hello.bin`", "QEMU microvm, ROM", GOAL),
        ("`pykvm run --bios ROM`", "QEMU microvm, ROM", None),
        ("`pykvm run KERNEL`", "QEMU microvm, kernel", None),
        ("`pykvm run --bios ROM`", "QEMU pc, ROM", None),
        ("`pykvm run hello.bin`", "VMM in C, hello.bin", None),
        ("`pykvm run hello.bin`", PASS, None),
    )
    result = []
    for what, part in (
        ("whole process", "whole"),
        ("to the first byte", "first"),
        ("processor time", "processor"),
    ):
        for ours, peer, goal in pairs_of_names:
            if peer not in names or (part == "first" and peer == PASS):
                continue
            a, b = names.index(ours), names.index(peer)
            pairs = [(getattr(turn[a], part), getattr(turn[b], part)) for turn in taken]
            result.append(
                Figure(f"{what}: {ours}", peer, pairs, "ms", goal if part == "whole" else None)
            )
    return result


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        images = build_images(Path(folder), 1)
        qemu = find_qemu(images.rom)
        print(qemu if isinstance(qemu, str) else f"QEMU {qemu.version}")
        result = measure(images, None if isinstance(qemu, str) else qemu, rounds)
    print(host_line())
    for figure in result:
        print(figure.line)


if __name__ == "__main__":
    main()
