"""The process that checks one folder: `python -m pykvm.labs.judge`, started by `checking`.

Each finished step is a line of JSON on the message pipe.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pykvm.errors import PykvmError
from pykvm.labs import child
from pykvm.labs.catalogue import Lab, find_lab
from pykvm.labs.steps import Step, Wrong, steps_of
from pykvm.labs.toolchain import missing_tools
from pykvm.labs.verdict import CANNOT, FAILED, NOT_TRIED, PASSED, Outcome
from pykvm.labs.work import Work

KVM, MACHINE = "kvm", "machine"
"""Besides the probes, what a step may need: /dev/kvm; or a `Machine`, be it an emulated one."""

LAST_PRINTED = 1000
"""How much of what the student's code printed is told, in characters."""


def main() -> None:
    """Check the folder that the command line names."""
    pipe, number, folder, seed, until_failure = sys.argv[1:]
    child.adopt_orphans()
    lab = find_lab(int(number))
    obstacle = why_not(lab)
    if obstacle is not None:
        _say(int(pipe), {"cannot": obstacle[0], "instead": obstacle[1]})
        return
    steps = steps_of(import_module(lab.module))
    if lab.kvm or any(MACHINE in step.needs for step in steps):
        import_module("pykvm.machine")  # once, instead of in each copy of this process
    _say(int(pipe), {"titles": [(step.name, step.title) for step in steps]})
    with TemporaryDirectory(prefix="pykvm-lab-") as scratch:
        emulated = bool(_probe(KVM))
        work = Work(Path(folder), lab, int(seed), Path(scratch), emulated=emulated)
        done: dict[str, str] = {}
        for step in steps:
            if until_failure == "1" and FAILED in done.values():
                outcome = Outcome(step.name, step.title, NOT_TRIED, "comes after a failure")
            else:
                outcome = _try(step, work, done, int(seed))
            done[step.name] = outcome.outcome
            _say(int(pipe), {"step": outcome._asdict()})
    _say(int(pipe), {"done": True})


def why_not(lab: Lab) -> tuple[str, str] | None:
    """Why a lab cannot be checked on this host, and what to do instead; None if it can."""
    if lab.has_assembly and missing_tools():
        return missing_tools(), ""
    unavailable = _probe(KVM)
    if unavailable:
        return (unavailable, lab.instead.get(KVM, "")) if lab.kvm else None
    for name in lab.needs:
        words = _probe(name)
        if words:
            return words, lab.instead.get(name, "")
    return None


def _probe(name: str) -> str:
    """Why a probe fails, in words; empty if it passes."""
    from pykvm.kvm import probes
    from pykvm.kvm.system import System

    try:
        if name == MACHINE:
            from pykvm.machine import Machine

            Machine("64K").close()
            return ""
        with System() as system:
            if name == KVM:
                return ""
            found = probes.result(system, name)
    except PykvmError as error:
        return str(error)
    if found.ok:
        return ""
    what = probes.all_probes()[name].description
    return f"this host's KVM cannot do this: {what} ({name}: {found.words})"


def _try(step: Step, work: Work, done: dict[str, str], seed: int) -> Outcome:
    before = [done[name] for name in step.after if done[name] != PASSED]
    if CANNOT in before:
        why = "builds on a step that cannot be tried here"
        return Outcome(step.name, step.title, CANNOT, why)
    if before:
        why = "builds on a step that has not passed"
        return Outcome(step.name, step.title, NOT_TRIED, why)
    for name in step.needs:
        words = _probe(name)
        if words:
            instead = work.lab.instead.get(name, "")
            return Outcome(step.name, step.title, CANNOT, words, instead)
    work.random = random.Random(f"{seed}/{step.name}")
    work.printed = ""
    begin = time.monotonic()
    try:
        step.function(work)
    except Wrong as wrong:
        return Outcome(
            *(step.name, step.title, FAILED, wrong.why, wrong.look or step.look),
            printed=work.printed[-LAST_PRINTED:],
            seconds=round(time.monotonic() - begin, 3),
        )
    return Outcome(step.name, step.title, PASSED, seconds=round(time.monotonic() - begin, 3))


def _say(pipe: int, line: dict[str, Any]) -> None:
    rest = memoryview(f"{json.dumps(line)}\n".encode())
    while rest:
        rest = rest[os.write(pipe, rest) :]


if __name__ == "__main__":
    main()
