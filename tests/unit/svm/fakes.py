"""Stand-ins for what the emulated machine is made with: apt-get, dpkg-deb and QEMU."""

from __future__ import annotations

import sys
from pathlib import Path


def program(folder: Path, name: str, text: str) -> Path:
    """An executable Python program."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -S\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return path


QEMU = """\
import os, re, sys, time

ports = dict(re.findall(r"file,id=(\\w+),path=(\\S+)", " ".join(sys.argv)))

def say(port, text):
    with open(ports[port], "w") as file:
        file.write(text)

"""
"""The beginning of a QEMU that does as a test says: `say` writes to one of its ports."""
