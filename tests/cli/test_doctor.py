"""`pykvm doctor`: on this host, and on hosts that lack something."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest

from pykvm.cli.doctor import as_object
from pykvm.cli.examination import Examination, nature, verdict
from pykvm.errors import KvmUnavailable
from pykvm.hostfacts import HostFacts, Module, Node, Processor
from pykvm.kvm.probes import ProbeResult, all_probes
from tests.cli.conftest import Pykvm
from tests.cli.test_bad_input import KVM_CREATE_VM, LACKS

needs_kvm = pytest.mark.needs()

MEMBERS: dict[str, type] = {
    "status": int,
    "verdict": str,
    "kernel": str,
    "machine": str,
    "processor": dict,
    "modules": dict,
    "device": dict,
    "kind": str,
    "kind_why": list,
    "api_version": int,
    "capabilities": dict,
    "probes": list,
}
BROKEN_KVM = f"ioctl={0xAE41}:{errno.EINVAL}"
"""No vCPU can be made, so that no probe passes (and none takes long)."""


def test_the_object(pykvm_command: Pykvm) -> None:
    result = pykvm_command("doctor", "--json", lacks=[BROKEN_KVM])
    members: dict[str, Any] = json.loads(result.out)
    kinds = MEMBERS if "error" not in members else {**MEMBERS, "error": str, "cause": str}
    assert {name: type(value) for name, value in members.items()} == kinds
    assert members["status"] == result.status == 125
    assert result.err == ""


@needs_kvm
def test_this_host_in_json(pykvm_command: Pykvm) -> None:
    result = pykvm_command("doctor", "--json")
    members: dict[str, Any] = json.loads(result.out)
    assert (result.status, result.err) == (0, "")
    assert members["api_version"] == 12
    assert members["capabilities"]["KVM_CAP_USER_MEMORY"] == 1
    assert len(members["capabilities"]) > 200
    assert [probe["name"] for probe in members["probes"]] == list(all_probes())
    for probe in members["probes"]:
        assert set(probe) == {"name", "description", "ok", "words", "seconds"}
        assert probe["seconds"] > 0
        assert probe["words"]
    assert members["device"]["openable"]


@needs_kvm
def test_the_tables(pykvm_command: Pykvm) -> None:
    result = pykvm_command("doctor")
    assert (result.status, result.err) == (0, "")
    text = result.out.decode()
    assert max(map(len, text.splitlines())) <= 80
    for words in ("/dev/kvm", "kind of KVM", "IMMEDIATE_EXIT", "16-bit real mode", "ms"):
        assert words in text
    last = text[text.index("verdict: ") :]
    assert last.startswith("verdict: pykvm runs guests here")
    assert last.endswith("\n")


@needs_kvm
@pytest.mark.parametrize(("lacks", "words"), LACKS)
def test_a_host_without_kvm(pykvm_command: Pykvm, lacks: list[str], words: list[str]) -> None:
    result = pykvm_command("doctor", lacks=lacks)
    assert (result.status, result.err) == (125, "")
    text = " ".join(result.out.decode().split())
    assert "kernel" in text
    last = text[text.index("verdict: ") :]
    assert last.startswith("verdict: pykvm cannot run guests here: ")
    for word in words:
        assert word in last
    members = json.loads(pykvm_command("doctor", "--json", lacks=lacks).out)
    assert members["status"] == 125
    assert members["verdict"] == last.removeprefix("verdict: ")
    assert members["cause"] in ("missing", "permission", "module", "version", "other")
    assert members["probes"] == []


@needs_kvm
def test_a_kvm_that_makes_no_machine(pykvm_command: Pykvm) -> None:
    result = pykvm_command("doctor", lacks=[f"ioctl={KVM_CREATE_VM}:{errno.ENOMEM}"])
    assert result.status == 125
    assert "KVM_CREATE_VM failed: Cannot allocate memory" in " ".join(result.out.decode().split())


def examination(
    *failed: str, extension: str | None = "vmx", hypervisor: bool = False, error: bool = False
) -> Examination:
    names = ("real_mode", "kick", "x87", "sse", "vmcall")
    return Examination(
        facts=HostFacts(
            kernel="6.1",
            machine="",
            processor=Processor("model", extension, hypervisor),
            modules=(Module("kvm", True, {}),),
            node=Node("/dev/kvm", True, True, "root", "kvm", "crw-rw----", True),
        ),
        error=KvmUnavailable("module", "type this") if error else None,
        api_version=12,
        capabilities={},
        probes=() if error else tuple(ProbeResult(n, n not in failed, n, 1) for n in names),
        descriptions={name: name for name in names},
    )


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (examination(), "hardware"),
        (examination("vmcall"), "hardware"),
        (examination(hypervisor=True), "nested"),
        (examination("x87", "sse", hypervisor=True), "emulating"),
        (examination(extension=None, hypervisor=True), "emulating"),
        (examination("real_mode"), "unknown"),
        (examination(error=True), "unknown"),
    ],
)
def test_kinds_of_kvm(found: Examination, kind: str) -> None:
    assert nature(found)[0] == kind
    assert as_object(found)["kind"] == kind


def test_why_it_is_of_that_kind() -> None:
    _, why = nature(examination("x87", "sse", extension=None, hypervisor=True))
    assert why == [
        "the processor shows neither vmx nor svm",
        "it shows the hypervisor flag: this host is a virtual machine itself",
        "simple x87 and SSE instructions fail, as no processor would",
    ]


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        (examination(), 0, "every probe passes"),
        (examination("vmcall"), 0, "1 of 5 probes fail"),
        (examination("vmcall", extension=None), 0, "ask for nested virtualization"),
        (examination("real_mode"), 125, "even the simplest one fails (real_mode)"),
        (examination(error=True), 125, "cannot run guests here: type this"),
    ],
)
def test_verdicts(found: Examination, status: int, words: str) -> None:
    assert words in verdict(found)
    assert found.status == status
