"""What an `out` costs in pykvm's C loop, against a bare loop around KVM_RUN in C.

    python benchmarks/loop_ratio.py [PAIRS]

The same guest, the same process and the same processor; the machine's timer is running, as it
does for every `pykvm run`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from cffi import FFI
from pairs import compare, host_line, verdict

from pykvm import Machine, StopReason

EXITS = 10_000
PAIRS = 40
GOAL = 1.03
OUT_FOREVER = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "eb fc"  # jmp back to it
)
PORT = 0x10
HERE = Path(__file__).resolve().parent


def build_bare() -> Any:
    """Compile bare_loop.c, load it, and make its machine."""
    ffi = FFI()
    ffi.cdef("int bare_setup(const uint8_t *, size_t); int64_t bare_run(uint64_t);")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "bare_loop.so")
        subprocess.run(
            ["gcc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "bare_loop.c"], check=True
        )
        bare: Any = ffi.dlopen(str(library))
    if bare.bare_setup(OUT_FOREVER, len(OUT_FOREVER)) != 0:
        sys.exit("loop_ratio: the bare machine cannot be made: see `pykvm doctor`")
    return bare


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    bare = build_bare()
    psutil.Process().cpu_affinity([psutil.Process().cpu_affinity()[0]])
    with Machine("64K") as machine:
        machine.load(OUT_FOREVER)
        machine.routes.ports.drop_writes(PORT, 1)

        def in_pykvm() -> float:
            start = time.monotonic_ns()
            stop = machine.run(max_exits=EXITS)
            end = time.monotonic_ns()
            assert stop.reason is StopReason.BUDGET
            return (end - start) / 1e9

        def in_bare_c() -> float:
            ns = bare.bare_run(EXITS)
            assert ns > 0
            return float(ns) / 1e9

        result = compare(in_pykvm, in_bare_c, pairs)
    print(host_line())
    print(
        f"one out: {result.subject / EXITS * 1e9:.0f} ns in pykvm's C loop, "
        f"{result.reference / EXITS * 1e9:.0f} ns in bare C"
    )
    print(verdict("C loop / bare C", result, GOAL))


if __name__ == "__main__":
    main()
