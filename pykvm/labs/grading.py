"""Many submissions at once, each judged in a process of its own."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from pykvm.errors import LabError
from pykvm.labs.catalogue import Lab, find_lab
from pykvm.labs.checking import check
from pykvm.labs.child import kill_running
from pykvm.labs.folder import lab_of
from pykvm.labs.verdict import Verdict

COLUMNS = (
    *("submission", "lab", "passed", "complete", "steps_passed", "steps", "failed_step", "why"),
    *("seed", "seconds"),
)


class Grade(NamedTuple):
    """What came of one submission.

    Attributes:
        submission: its folder, as it was given.
        verdict: None if it could not be judged.
        error: why not.
    """

    submission: str
    verdict: Verdict | None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is right."""
        return self.verdict is not None and self.verdict.passed


def grade(
    folders: Sequence[Path],
    *,
    number: int | None = None,
    seed: int | None = None,
    seconds: float | None = None,
    jobs: int | None = None,
    on_grade: Callable[[Grade], None] | None = None,
) -> list[Grade]:
    """Judge submissions, several at a time.

    Args:
        folders: the submissions.
        number: which lab they are of; by default each says so itself.
        seed: of the random guests: the same for all, if it is given.
        seconds: how long each may take; by default what its lab says.
        jobs: how many at a time; by default as many as there are processors.
        on_grade: called with each as it comes.

    Returns:
        one grade a folder, in their order.
    """

    def judge(folder: Path) -> Grade:
        try:
            verdict = check(folder, _lab(folder, number), seed=seed, seconds=seconds)
        except (LabError, OSError) as error:
            return Grade(str(folder), None, str(error))
        return Grade(str(folder), verdict, verdict.cannot)

    workers = jobs or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        places = {pool.submit(judge, folder): i for i, folder in enumerate(folders)}
        grades: dict[int, Grade] = {}
        try:
            for future in as_completed(places):
                grades[places[future]] = future.result()
                if on_grade is not None:
                    on_grade(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(places, timeout=0.2).not_done:
                kill_running()
            raise
    return [grades[i] for i in range(len(folders))]


def as_csv(grades: Sequence[Grade]) -> str:
    """One line a submission, under a line of `COLUMNS`."""
    out = StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for grade in grades:
        table.writerow(_row(grade))
    return out.getvalue()


def as_json(grades: Sequence[Grade]) -> str:
    """One object: `grades` is a list of submissions with the verdicts of `pykvm lab check`."""
    rows = [
        {
            "submission": grade.submission,
            "error": grade.error,
            "verdict": None if grade.verdict is None else grade.verdict.to_json(),
        }
        for grade in grades
    ]
    return f"{json.dumps({'schema': 1, 'grades': rows}, indent=1)}\n"


def _lab(folder: Path, number: int | None) -> Lab:
    if not folder.is_dir():
        raise LabError(f"{folder}: is no folder")
    if number is not None:
        return find_lab(number)
    try:
        return lab_of(folder)
    except FileNotFoundError:
        raise LabError(f"{folder}: is not the folder of a lab: --lab N says which it is") from None


def _row(grade: Grade) -> list[object]:
    verdict = grade.verdict
    if verdict is None:
        return [grade.submission, "", False, False, 0, 0, "", grade.error, "", ""]
    failure = verdict.first_failure
    return [
        *(grade.submission, verdict.lab, verdict.passed, verdict.complete, verdict.steps_passed),
        len(verdict.steps),
        "" if failure is None else failure.name,
        verdict.cannot if failure is None else failure.why,
        *(verdict.seed, round(verdict.seconds, 1)),
    ]
