"""What `pykvm run guests/hello.bin` takes as a whole process, against `python3 -c pass`.

    python benchmarks/start_ratio.py [PAIRS]

Run it with the Python that pykvm is installed for.  Bytecode is cached, as after any first run.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pairs import compare, host_line, users_environment, verdict

PAIRS = 40
GOAL = 4.0
HELLO = Path(__file__).resolve().parent.parent / "guests" / "hello.bin"
PYKVM = Path(sys.executable).with_name("pykvm")


def seconds(*command: str | Path) -> float:
    """Run a command to its end, its output thrown away."""
    environment = users_environment()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    result = compare(
        lambda: seconds(PYKVM, "run", HELLO), lambda: seconds(sys.executable, "-c", "pass"), pairs
    )
    print(host_line())
    print(
        f"pykvm run guests/hello.bin: {result.subject * 1e3:.1f} ms; "
        f"python3 -c pass: {result.reference * 1e3:.1f} ms"
    )
    print(verdict("pykvm run / python3 -c pass", result, GOAL))


if __name__ == "__main__":
    main()
