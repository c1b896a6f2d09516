"""How long Linux takes from the command to /init: `pykvm run` against QEMU with KVM.

    PYTHONPATH=. python benchmarks/linux_boot.py [PAIRS]

Same kernel (the one that `make test-svm` fetches), same initial RAM disk, same memory, one
processor.  It wants a KVM that behaves like hardware; `make bench-linux` brings an emulated one.
Bytecode is cached, as after any first run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pairs import compare, host_line, users_environment, verdict

from tests.support.linux import ASKS, make_initrd
from tests.svm.parts import find_guest_kernel, find_parts

PAIRS = 5
GOAL = 1.0
APPEND = "console=ttyS0 quiet"


def seconds(command: list[str]) -> float:
    """Start a command and wait until Linux's first process asks for a line; then end it."""
    environment = users_environment()
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    ) as process:
        assert process.stdout is not None
        said = b""
        while ASKS not in said:
            more = os.read(process.stdout.fileno(), 4096)
            if not more:
                sys.exit(f"it ended before /init: {said.decode(errors='replace')}")
            said += more
        took = time.perf_counter() - start
        process.kill()
    return took


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    kernel, parts = find_guest_kernel(fetch=True), find_parts()
    with tempfile.TemporaryDirectory() as folder:
        boot = (str(kernel), str(make_initrd(Path(folder))))
        pykvm = [
            *(str(Path(sys.executable).with_name("pykvm")), "run", boot[0], "-m", "256M"),
            *("--initrd", boot[1], "--append", APPEND),
        ]
        peer = [
            *("env", f"LD_LIBRARY_PATH={':'.join(map(str, parts.libraries))}", str(parts.qemu)),
            *("-accel", "kvm", "-cpu", "host", "-m", "256"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
            *("-kernel", boot[0], "-initrd", boot[1], "-append", APPEND),
        ]
        result = compare(lambda: seconds(pykvm), lambda: seconds(peer), pairs)
    print(host_line())
    print(f"to /init: pykvm {result.subject:.2f} s; QEMU with KVM {result.reference:.2f} s")
    print(verdict("pykvm / QEMU", result, GOAL))


if __name__ == "__main__":
    main()
