"""What is said when /dev/kvm cannot be used: each cause tells what to type."""

from __future__ import annotations

import errno
import grp
import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pykvm.errors import KvmIoctlError, KvmUnavailable
from pykvm.kvm import System, Vm, ioctl
from pykvm.kvm.unavailable import explain


def fake_host(folder: Path, flags: str, loaded: str = "") -> dict[str, str]:
    """The files that tell of a host's processor and modules."""
    cpuinfo = folder / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: X\nflags\t\t: fpu {flags} sse\n")
    if loaded:
        (folder / "modules" / loaded).mkdir(parents=True)
    return {"cpuinfo": str(cpuinfo), "modules": str(folder / "modules")}


def open_files() -> int:
    return int(psutil.Process().num_fds())


@pytest.mark.parametrize(
    ("flags", "loaded", "cause", "advice"),
    [
        ("vmx", "", "module", "`sudo modprobe kvm_intel`"),
        ("svm", "", "module", "`sudo modprobe kvm_amd`"),
        ("", "", "missing", "neither vmx nor svm"),
        ("svmx", "", "missing", "neither vmx nor svm"),
        ("svm", "kvm_amd", "missing", "--device"),
    ],
)
def test_a_missing_node(tmp_path: Path, flags: str, loaded: str, cause: str, advice: str) -> None:
    error = explain(OSError(errno.ENOENT, ""), "/dev/kvm", **fake_host(tmp_path, flags, loaded))
    assert error.cause == cause
    assert advice in str(error)
    assert "/dev/kvm is missing" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENXIO])
def test_a_node_without_driver(tmp_path: Path, number: int) -> None:
    error = explain(OSError(number, ""), "/dev/kvm", **fake_host(tmp_path, "vmx"))
    assert error.cause == "module"
    assert "`sudo modprobe kvm_intel`" in str(error)


def test_a_closed_node_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "kvm"
    node.touch()
    node.chmod(0o660)
    monkeypatch.setattr(os, "getgroups", list)
    error = explain(PermissionError(errno.EACCES, ""), str(node))
    group = grp.getgrgid(node.stat().st_gid).gr_name
    assert error.cause == "permission"
    assert f"`sudo usermod -aG {group} $USER`, then log in again" in str(error)


def test_a_node_that_its_group_may_not_open_either(tmp_path: Path) -> None:
    node = tmp_path / "kvm"
    node.touch()
    node.chmod(0o600)
    error = explain(PermissionError(errno.EACCES, ""), str(node))
    assert f"`sudo chgrp kvm {node} && sudo chmod 660 {node}`" in str(error)


def test_a_node_that_is_forbidden_to_its_own_group(tmp_path: Path) -> None:
    node = tmp_path / "kvm"
    node.touch()
    node.chmod(0o660)
    os.chown(node, -1, os.getgroups()[0] if os.getgroups() else os.getgid())
    error = explain(PermissionError(errno.EPERM, ""), str(node))
    assert error.cause == "permission"


def test_a_group_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "kvm"
    node.touch()
    node.chmod(0o660)
    status = SimpleNamespace(st_gid=54321, st_mode=node.stat().st_mode)
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert "usermod -aG 54321" in str(explain(PermissionError(errno.EACCES, ""), str(node)))


def test_a_busy_node() -> None:
    error = explain(OSError(errno.EBUSY, ""), "/dev/kvm")
    assert error.cause == "other"
    assert "another hypervisor" in str(error)


def test_any_other_failure_gives_the_system_s_words() -> None:
    error = explain(OSError(errno.EMFILE, ""), "/dev/kvm")
    assert (error.cause, str(error)) == ("other", "cannot open /dev/kvm: Too many open files")


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KvmUnavailable) as caught:
        System(str(tmp_path / "kvm"))
    assert caught.value.cause in ("missing", "module")
    assert caught.value.__cause__ is None


def test_opening_what_is_not_kvm(tmp_path: Path) -> None:
    file = tmp_path / "kvm"
    file.touch()
    before = open_files()
    with pytest.raises(KvmUnavailable, match="is not a KVM device"):
        System(str(file))
    assert open_files() == before


def test_another_version_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ioctl, "call", lambda *_: 11)
    before = open_files()
    with pytest.raises(KvmUnavailable, match=r"speaks version 11 .* needs version 12") as caught:
        System("/dev/null")
    assert caught.value.cause == "version"
    assert open_files() == before


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EBUSY, KvmUnavailable), (errno.ENOMEM, KvmIoctlError)]
)
def test_a_processor_that_another_hypervisor_holds(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(_fd: int, name: str, _argument: object = 0) -> int:
        if name == "KVM_CREATE_VM":
            raise KvmIoctlError(name, number)
        return 12

    monkeypatch.setattr(ioctl, "call", fail)
    with System("/dev/null") as system, pytest.raises(kind):
        Vm(system)
