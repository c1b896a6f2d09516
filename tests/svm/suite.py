"""`make test-svm`: the tests that need KVM, on the emulated machine.

    python -m tests.svm.suite [FOLDER...] [-- PYTEST ARGUMENTS...]

Says first where that machine's KVM differs from this one's, as the probes of `pykvm doctor` see
them.  Then each folder's tests run in a machine of their own, all at the same time: a machine
emulates all its processors in one thread.
"""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.hosts import Report
from tests.svm.failure import Failure
from tests.svm.parts import find_guest_kernel

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/kvm", "tests/guests", "tests/cli")
SECONDS = 3600
"""For a machine and all tests of its folder; pytest has a limit of its own for each test."""

SVM = (sys.executable, "-m", "tests.svm")
DOCTOR = (sys.executable, "-m", "pykvm", "doctor", "--json")
PYTEST = (sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider")


def main(words: Sequence[str]) -> int:
    """Run the suite; returns 0 if no test of any folder failed."""
    start = time.monotonic()
    at = words.index("--") if "--" in words else len(words)
    folders, arguments = words[:at] or FOLDERS, words[at + 1 :]
    for package in ("pykvm", "tests"):
        # else each process there would do it, as slowly as all is done there
        compileall.compile_dir(ROOT / package, quiet=2)
    try:
        find_guest_kernel(fetch=True)
    except Failure as failure:
        print(f"svm: {failure}", file=sys.stderr)
        return failure.status
    there = subprocess.run([*SVM, "--", *DOCTOR], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if there.returncode != 0:
        if there.stdout:  # else it has complained itself
            print(f"svm: {json.loads(there.stdout)['verdict']}", file=sys.stderr)
        return there.returncode
    here = subprocess.run(DOCTOR, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    print(differences(Report.of("here", here.stdout), Report.of("svm", there.stdout)), flush=True)
    with ThreadPoolExecutor(len(folders)) as pool:
        statuses = list(pool.map(lambda folder: _run_tests(folder, arguments), folders))
    took = f"{time.monotonic() - start:.0f} seconds"
    for folder, status in zip(folders, statuses, strict=True):
        print(f"svm: {folder}: {'passed' if status == 0 else f'ended with status {status}'}")
    print(f"svm: {took} in all", flush=True)
    return max(statuses)


def differences(here: Report, there: Report) -> str:
    """Lines that tell which probes pass on one of two hosts only."""
    names = [name for name in there.probes if here.passes(name) != there.passes(name)]
    count = f"svm: {len(names)} of {len(there.probes)} probes differ"
    return "\n".join(
        [
            f"{count} (the KVM here: {here.kind}; there: {there.kind})",
            *(f"  {n}: here {here.verdict(n)}, there {there.verdict(n)}" for n in names),
        ]
    )


def _run_tests(folder: str, arguments: Sequence[str]) -> int:
    """Run a folder's tests in a machine; what they say comes out line by line, with its name."""
    command = [*SVM, "--timeout", str(SECONDS), "--", *PYTEST, *arguments, folder]
    name = Path(folder).name
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{name:7}| {line}", end="", flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
