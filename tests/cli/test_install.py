"""The distribution: what is built from the sdist installs and runs outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.not_on_svm("builds wheels for minutes, and nothing in that depends on KVM")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed; returns its standard output."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from an sdist, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("dist with spaces")
    run(sys.executable, "-m", "build", "-q", "--sdist", "--no-isolation", "-o", folder, cwd=ROOT)
    (sdist,) = folder.glob("pykvm_vmm-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = sdist.with_name(sdist.name.removesuffix(".tar.gz"))
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "-w", folder, source),
        cwd=folder,
    )
    (built,) = folder.glob("pykvm_vmm-*.whl")
    return built


def test_one_wheel_serves_all_pythons_from_3_11_on(wheel: Path) -> None:
    assert "-cp311-abi3-linux_x86_64" in wheel.name


def test_the_wheel_carries_guests_types_and_labs_without_solutions(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "pykvm/py.typed",
        "pykvm/_shim.abi3.so",
        "pykvm/guests/manifest.toml",
        "pykvm/guests/hello.bin",
        "pykvm/guests/hello_elf64.elf",
        "pykvm/guests/bench/cpuid.bin64",
        "pykvm/guests/bench/ipi.bin",
        "pykvm/kvm/probes/modes.py",
        "pykvm/labs/lab03_uart/README.md",
        "pykvm/labs/lab03_uart/uart.svg",
        "pykvm/labs/lab03_uart/lab.toml",
        "pykvm/labs/lab03_uart/checker.py",
        "pykvm/labs/lab03_uart/interrupts.s",
        "pykvm/labs/lab03_uart/starter/driver.s",
    } <= names
    assert not [name for name in names if "solution" in name or name.endswith((".pyc", ".o"))]
    assert not [name for name in names if name.startswith(("tests/", "csrc/", "guests/"))]


@pytest.mark.needs
def test_it_runs_a_bundled_guest_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(
        *(sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("--no-deps", "--target", site, wheel),
        cwd=tmp_path,
    )
    where = run(
        *(sys.executable, "-c", "import pykvm; print(pykvm.__file__)"),
        cwd=tmp_path,
        PYTHONPATH=str(site),
    )
    assert Path(where.strip()).is_relative_to(site)
    greeting = run(
        *(sys.executable, "-m", "pykvm", "run", "hello"), cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert greeting.startswith("Hello from the guest!")
