"""All side-by-side benchmarks in one run, as lines or as the table in README.md.

python benchmarks/peers.py [--markdown] [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import peer_exits
import peer_loops
import peer_start
from pairs import host_line
from peer_images import HERE, build_images
from peer_qemu import find_qemu
from peer_table import markdown, replace_part


def main() -> None:
    """Measure; print, or write the page."""
    parser = argparse.ArgumentParser(
        description="Compare pykvm with what users would pick instead."
    )
    parser.add_argument("--markdown", action="store_true", help="write the table in README.md, too")
    parser.add_argument("--rounds", type=int, help="rounds of each part (default: its own)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = build_images(Path(folder), peer_exits.BLOCKS)
        found = find_qemu(images.rom)
        qemu = None if isinstance(found, str) else found
        loads = [host_line()]
        figures = peer_start.measure(images, qemu, args.rounds or peer_start.ROUNDS)
        figures += peer_exits.measure(
            images, qemu, args.rounds or peer_exits.ROUNDS, peer_exits.BLOCKS
        )
        # last, since it keeps this process on one processor
        figures += peer_loops.measure(args.rounds or peer_loops.ROUNDS)
        loads.append(host_line().rpartition("load ")[2])
    facts = f"{loads[0]} to {loads[1]}"
    if qemu is not None:
        facts += f", QEMU {qemu.version}"
    left_out = [found] if isinstance(found, str) else []
    print(facts, *left_out, sep="\n")
    for figure in figures:
        print(figure.line)
    if args.markdown:
        command = "python benchmarks/peers.py --markdown" + (
            f" --rounds {args.rounds}" if args.rounds else ""
        )
        replace_part(HERE / "README.md", markdown(command, facts, left_out, figures))


if __name__ == "__main__":
    main()
