"""Debian packages, unpacked into a folder: without root, and with nothing installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.svm.failure import Failure

_TO_INSTALL = re.compile(r"^Inst (\S+)", re.MULTILINE)
_COMPLAINT = re.compile(r"^[EW]: (.*)", re.MULTILINE)


class Archive:
    """Debian's archive as this machine's apt sources name it, with package lists of its own.

    Args:
        folder: an empty one, for lists and packages.

    Raises:
        Failure: there is no apt here.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise Failure(
                "no apt-get and dpkg-deb: the emulated machine is made of Debian packages"
            )
        self._folder = folder
        for part in ("lists", "cache"):
            (folder / part).mkdir()
        self._updated = self._apt("update")

    def needed_for(self, package: str, *, installed: bool = True) -> list[str]:
        """The names of the packages that installing one would bring.

        Args:
            package: its name.
            installed: leave out what this machine has.

        Raises:
            Failure: there is no such package.
        """
        status = [] if installed else ["-o", "Dir::State::Status=/dev/null"]
        plan = self._checked("--simulate", "--no-install-recommends", *status, "install", package)
        return _TO_INSTALL.findall(plan)

    def unpack(self, packages: Iterable[str], folder: Path) -> None:
        """Lay the files of packages into a folder.

        Raises:
            Failure: one of them cannot be had.
        """
        names = list(packages)
        others = f" and {len(names) - 1} more packages" if len(names) > 1 else ""
        print(f"svm: fetching {names[-1]}{others}", file=sys.stderr)
        self._checked("download", *names)
        for file in self._folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", file, folder], check=True)
            file.unlink()

    def _apt(self, *words: str) -> subprocess.CompletedProcess[str]:
        own = {
            "Dir::State::Lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "APT::Sandbox::User": "root",  # apt's user for downloads may not write here
            "Acquire::http::Timeout": 20,
        }
        options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
        command = ["apt-get", "-q", *options, *words]
        return subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )

    def _checked(self, *words: str) -> str:
        done = self._apt(*words)
        if done.returncode != 0:
            # an update goes on without what it could not reach; that is the cause, then
            complaints = _COMPLAINT.findall(self._updated.stderr + done.stderr)
            why = complaints[0] if complaints else f"it ended with status {done.returncode}"
            raise Failure(f"cannot get {words[-1]} from Debian's archive: {why}")
        return done.stdout
