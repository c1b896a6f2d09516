"""What pyproject.toml cannot say: the cffi extension, and guests that travel in the wheel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPyWithGuests(build_py):
    """Assembles the guests and lays them, with their manifest, into the package.

    An editable install leaves them in the checkout's `guests/`, where `make` builds them.
    """

    def run(self) -> None:
        """Build the modules, then the guests."""
        super().run()
        if self.editable_mode:
            return
        out = Path(self.build_lib, "pykvm", "guests")
        # relative, as make has no way to name a path with spaces
        subprocess.run(
            ["make", "-s", "-C", "guests", f"OUT={os.path.relpath(out, 'guests')}"], check=True
        )
        self.copy_file("guests/manifest.toml", str(out / "manifest.toml"))


setup(
    cffi_modules=["csrc/build.py:ffibuilder"],
    cmdclass={"build_py": BuildPyWithGuests},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
