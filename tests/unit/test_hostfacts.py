"""What a host shows of itself, read from made-up /proc, /sys and /dev."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykvm.hostfacts import (
    Conditions,
    Processor,
    gather,
    kind_of_kvm,
    look_at_conditions,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty host."""
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_a_host_that_shows_nothing(root: Path) -> None:
    facts = gather(root)
    assert (facts.kernel, facts.machine) == ("", "")
    assert facts.processor == Processor("", None, False)
    assert [m.name for m in facts.modules] == ["kvm", "kvm_intel", "kvm_amd"]
    assert not any(m.loaded or m.parameters for m in facts.modules)
    assert not facts.node.exists
    assert not facts.node.openable


@pytest.mark.parametrize(
    ("flags", "extension", "hypervisor"),
    [
        ("fpu vmx sse", "vmx", False),
        ("fpu svm npt hypervisor", "svm", True),
        ("fpu hypervisor", None, True),
        ("fpu vmxfoo", None, False),
        ("", None, False),
    ],
)
def test_processors(root: Path, flags: str, extension: str | None, hypervisor: bool) -> None:
    one = f"processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: {flags}\n\n"
    put(root, "proc/cpuinfo", one + one.replace("Some", "Other").replace("fpu", "vmx svm"))
    assert gather(root).processor == Processor("Some CPU @ 3 GHz", extension, hypervisor)


def test_modules(root: Path) -> None:
    put(root, "sys/module/kvm/parameters/tdp_mmu", "Y\n")
    put(root, "sys/module/kvm_amd/parameters/nested", "1\n")
    put(root, "sys/module/kvm_amd/parameters/npt", "Y\n")
    (root / "sys/module/kvm_amd/parameters/folder").mkdir()
    kvm, intel, amd = gather(root).modules
    assert (kvm.loaded, kvm.parameters) == (True, {"tdp_mmu": "Y"})
    assert (intel.loaded, intel.parameters) == (False, {})
    assert (amd.loaded, amd.parameters) == (True, {"nested": "1", "npt": "Y"})


def test_a_module_without_parameters(root: Path) -> None:
    (root / "sys/module/kvm_intel").mkdir(parents=True)
    assert [m.loaded for m in gather(root).modules] == [False, True, False]


def test_the_kernel_and_the_machine(root: Path) -> None:
    put(root, "proc/sys/kernel/osrelease", "6.1.0-amd64\n")
    put(root, "sys/class/dmi/id/sys_vendor", "Some Maker\n")
    put(root, "sys/class/dmi/id/product_name", "Model 7\n")
    facts = gather(root)
    assert (facts.kernel, facts.machine) == ("6.1.0-amd64", "Some Maker Model 7")


def test_a_node_that_is_none(root: Path) -> None:
    put(root, "dev/kvm", "")
    (root / "dev/kvm").chmod(0o640)
    node = gather(root).node
    assert (node.path, node.exists, node.is_device) == (f"{root}/dev/kvm", True, False)
    assert node.mode == "-rw-r-----"
    assert node.openable


def test_a_device(root: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev/kvm").symlink_to(os.devnull)
    node = gather(root).node
    assert (node.exists, node.is_device, node.openable) == (True, True, True)
    assert (node.owner, node.group, node.mode) == ("root", "root", "crw-rw-rw-")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_without_a_name_are_numbers(root: Path) -> None:
    put(root, "dev/kvm", "")
    os.chown(root / "dev/kvm", 12345, 54321)
    node = gather(root).node
    assert (node.owner, node.group) == ("12345", "54321")


def test_conditions_of_a_host_that_shows_nothing(root: Path) -> None:
    assert look_at_conditions(root) == Conditions("", {}, "", "", ())


def test_conditions(root: Path) -> None:
    put(root, "proc/cpuinfo", "processor: 0\nmicrocode\t: 0x1000065\n\nmicrocode: 0x2\n")
    devices = "sys/devices/system"
    put(root, f"{devices}/cpu/vulnerabilities/l1tf", "Not affected\n")
    put(root, f"{devices}/cpu/vulnerabilities/spectre_v2", "Mitigation: Retpolines\n")
    put(root, f"{devices}/cpu/cpu3/cpufreq/scaling_governor", "performance\n")
    put(root, f"{devices}/clocksource/clocksource0/current_clocksource", "tsc\n")
    put(root, "sys/module/kvm/parameters/x", "1")
    put(root, "sys/module/kvm_amd/parameters/x", "1")
    put(root, "sys/module/kvmgt/parameters/x", "1")
    found = look_at_conditions(root, cpu=3)
    assert found == Conditions(
        "0x1000065",
        {"spectre_v2": "Mitigation: Retpolines"},
        "performance",
        "tsc",
        ("kvm", "kvm_amd"),
    )
    assert look_at_conditions(root, cpu=0).governor == ""


@pytest.mark.parametrize(
    ("extension", "hypervisor", "failed", "kind"),
    [
        ("vmx", False, [], "hardware"),
        ("svm", True, ["mmio"], "nested"),
        ("svm", True, ["sse", "x87"], "emulating"),
        ("svm", False, ["x87"], "hardware"),
        (None, False, [], "emulating"),
    ],
)
def test_kinds_of_kvm(
    extension: str | None, hypervisor: bool, failed: list[str], kind: str
) -> None:
    assert kind_of_kvm(Processor("", extension, hypervisor), failed) == kind
