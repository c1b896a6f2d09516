"""What an access to a port costs a guest: under pykvm, under QEMU with KVM, under a bare VMM in C.

    python benchmarks/peer_exits.py [ROUNDS]

The guest (guests/exits_rom.s) is firmware, the same bytes under each, and times itself: the
time-stamp counter before and after each of many blocks of 64 accesses to a port.  A run's figure
is the median of its blocks; the hypervisors' start and end do not count.  The ports are ones that
all of them leave KVM for, and that do little:

- 0x80: POST codes.  QEMU's "pc" has a device there that ignores them, "microvm" has none.
- 0xE9: the debug console, under both a device whose output goes nowhere.
- 0x3FD: the line status of COM1, under both a register of an idle UART.
- 0x71: a byte of CMOS RAM; in pykvm by a device in Python, while C answers the others.

The bare VMM answers each at once: the difference to it is a hypervisor's own part, which, other
than the ratio, does not depend on what an exit costs on a host.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pairs import host_line, take_turns, users_environment
from peer_images import ACCESSES, ENDED, Images, build_images, pykvm_command
from peer_qemu import DEBUG_CONSOLE, Qemu, find_qemu
from peer_table import Figure

from pykvm import Machine
from pykvm.kvm.tsc import TscClock

ROUNDS = 60
BLOCKS = 64
"""What a run times of each port."""

GOAL = 0.67
TIMEOUT = 60


class Port(NamedTuple):
    """A line of what the guest prints."""

    name: str
    goal: float | None


PORTS = (
    Port("`out 0x80`", GOAL),
    Port("`out 0xe9`", GOAL),
    Port("`in 0x3fd`", GOAL),
    Port("`in 0x71` (Python)", None),
)


def ticks_in(said: bytes, blocks: int) -> list[float]:
    """From what the guest printed: for each port the ticks of one access, in the median block.

    Raises:
        ValueError: it is not what that guest prints.
    """
    lines = said.decode("ascii", errors="replace").split()
    if len(lines) != blocks * len(PORTS):
        raise ValueError(f"{len(lines)} lines, not {blocks * len(PORTS)}: {said[:200]!r}")
    ticks = [int(line, 16) / ACCESSES for line in lines]
    return [statistics.median(ticks[i : i + blocks]) for i in range(0, len(ticks), blocks)]


def time_ports(command: Sequence[str | Path], blocks: int) -> list[float]:
    """Run the timing guest; returns for each port the ticks of one access."""
    ran = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=users_environment(),
        timeout=TIMEOUT,
    )
    if ran.returncode != ENDED:
        sys.exit(f"peer_exits: {command[0]} ended with status {ran.returncode}")
    return ticks_in(ran.stdout, blocks)


def measure(images: Images, qemu: Qemu | None, rounds: int, blocks: int) -> list[Figure]:
    """Compare, in `rounds` rounds; `images` times `blocks` blocks."""
    commands: dict[str, Sequence[str | Path]] = {
        "pykvm": pykvm_command("--bios", images.exits),
        "bare C": (images.vmm, images.exits),
    }
    if qemu is not None:
        for machine in ("microvm", "pc"):
            commands[f"QEMU {machine}"] = qemu.command(
                machine, "-bios", images.exits, *DEBUG_CONSOLE
            )
    measures: list[Callable[[], list[float]]] = [
        partial(time_ports, command, blocks) for command in commands.values()
    ]
    with Machine("64K") as timekeeper:
        clock = TscClock(timekeeper.cpus[0].vcpu)
        taken = take_turns(measures, rounds)
        ns_per_tick = 1e6 / clock.khz
    return list(figures(tuple(commands), taken, ns_per_tick))


def figures(
    names: Sequence[str], taken: Sequence[Sequence[Sequence[float]]], ns_per_tick: float
) -> list[Figure]:
    """The comparisons.

    Args:
        names: the hypervisors; "pykvm" and "bare C" are among them.
        taken: for each round, hypervisor and port the ticks of an access.
        ns_per_tick: how long one is.
    """
    ours, bare = names.index("pykvm"), names.index("bare C")
    result = []
    for p, port in enumerate(PORTS):

        def pairs(a: int, b: int, p: int = p) -> list[tuple[float, float]]:
            return [(turn[a][p] * ns_per_tick, turn[b][p] * ns_per_tick) for turn in taken]

        peers = [i for i in range(len(names)) if i not in (ours, bare)]
        result += [
            Figure(f"{port.name}: pykvm", names[i], pairs(ours, i), "ns", port.goal) for i in peers
        ]
        result += [
            Figure(f"{port.name}: {names[i]}", "bare C", pairs(i, bare), "ns")
            for i in (ours, *peers)
        ]
    return result


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        images = build_images(Path(folder), BLOCKS)
        qemu = find_qemu(images.rom)
        print(qemu if isinstance(qemu, str) else f"QEMU {qemu.version}")
        result = measure(images, None if isinstance(qemu, str) else qemu, rounds, BLOCKS)
    print(host_line())
    for figure in result:
        print(figure.line)


if __name__ == "__main__":
    main()
