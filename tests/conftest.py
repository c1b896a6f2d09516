"""What all tests share: skipping by what the host can do, and guests to try things on.

Tests below `tests/kvm` and `tests/guests`, and those marked `needs()`, want a usable /dev/kvm.
`needs("probe", ...)` wants those probes to pass, too; `pykvm doctor` lists them.
`emulated` tests run their guests on the emulator, wherever they are, and need no KVM.
`not_on_svm("reason")` keeps a test off the emulated machine of `make test-svm`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pykvm.kvm import System
    from pykvm.kvm.probes.bench import Guest

HERE = Path(__file__).parent
WANT_KVM = (HERE / "kvm", HERE / "guests")
ON_SVM = "PYKVM_SVM" in os.environ
"""Whether this is the emulated machine of tests/svm."""


settings.register_profile("pykvm", deadline=None)  # how long an example takes is the host's affair
settings.load_profile("pykvm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names that are no probe: such a test would never be skipped, or always."""
    named = {name for item in items for name in needed_probes(item)}
    if not named:
        return
    from pykvm.kvm.probes import all_probes

    unknown = sorted(named - set(all_probes()))
    if unknown:
        raise pytest.UsageError(f"needs() names what is no probe: {', '.join(unknown)}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this host cannot do, in the words of what found out."""
    stays_away = item.get_closest_marker("not_on_svm")
    if stays_away is not None and ON_SVM:
        pytest.skip(f"not on the emulated machine: {stays_away.args[0]}")
    if item.get_closest_marker("emulated") is not None:
        if ON_SVM:
            pytest.skip("not on the emulated machine: it needs no KVM")
        pytest.importorskip("unicorn", reason="unicorn, the emulator, is not installed")
        return
    marked = item.get_closest_marker("needs") is not None
    if not marked and not any(folder in item.path.parents for folder in WANT_KVM):
        return
    unavailable = why_unavailable()
    if unavailable is not None:
        pytest.skip(unavailable)
    for name in needed_probes(item):
        ok, words = probe_verdict(name)
        if not ok:
            pytest.skip(f"{name}: {words}")


def needed_probes(item: pytest.Item) -> list[str]:
    """The names in all of a test's `needs` marks."""
    return [name for mark in item.iter_markers("needs") for name in mark.args]


@cache
def why_unavailable() -> str | None:
    """Why this host's KVM cannot be used; None if it can."""
    from pykvm.errors import KvmUnavailable
    from pykvm.kvm import System

    try:
        System().close()
    except KvmUnavailable as error:
        return str(error)
    return None


def probe_verdict(name: str) -> tuple[bool, str]:
    """Whether a probe passes here, and its words."""
    from pykvm.kvm import System, probes

    with System() as system:
        result = probes.result(system, name)
    return result.ok, result.words


@pytest.fixture
def system() -> Iterator[System]:
    """An open /dev/kvm."""
    from pykvm.kvm import System

    with System() as opened:
        yield opened


@pytest.fixture
def make_guest(system: System) -> Iterator[Callable[..., Guest]]:
    """Makes a `Guest`: call it as its class, without stack and system; closed after the test."""
    from pykvm.kvm.probes.bench import Guest

    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Guest:
            return Guest(stack, system, *args, **options)

        yield make
