"""The command where there is no /dev/kvm, and where the emulator is asked for."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import CRASH, EXIT_5, HALT, PRINT_A, SPIN, UNCLAIMED, MakeImage, Pykvm

pytestmark = pytest.mark.emulated

WITHOUT_KVM = (["no-kvm"], ["forbidden-kvm"], ["null-kvm"])


@pytest.mark.parametrize("lacks", WITHOUT_KVM, ids=lambda lacks: lacks[0])
def test_a_guest_runs_without_kvm_and_one_line_says_how(
    pykvm_command: Pykvm, image: MakeImage, lacks: list[str]
) -> None:
    result = pykvm_command("run", image(PRINT_A), lacks=lacks)
    assert (result.status, result.out) == (0, b"A")
    assert result.complaint.startswith("emulating the guest, slowly: ")
    assert "/dev/kvm" in result.complaint
    assert result.complaint.endswith("(see pykvm doctor)")


def test_who_asks_for_the_emulator_is_told_nothing(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", "--accel", "emu", image(PRINT_A))
    assert result == (0, b"A", "")


def test_who_insists_on_kvm_gets_no_emulator(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", "--accel", "kvm", image(HALT), lacks=["no-kvm"])
    assert result.status == 125
    assert result.complaint.startswith("/dev/kvm is missing")


@pytest.mark.parametrize(
    ("code", "words", "status"),
    [
        (HALT, (), 0),
        (EXIT_5, (), 11),
        (SPIN, ("--timeout", "0.1"), 124),
        (CRASH, ("--mode", "protected"), 126),
        (UNCLAIMED, ("--strict",), 126),
    ],
)
def test_runs_end_with_the_same_statuses(
    pykvm_command: Pykvm,
    image: MakeImage,
    code: tuple[str, ...],
    words: tuple[str, ...],
    status: int,
) -> None:
    assert pykvm_command("run", "--accel", "emu", *words, image(code)).status == status


def test_stats_count_what_left_the_guest(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", "--accel", "emu", "--json", image(PRINT_A))
    told = json.loads(result.out)
    assert told["exits"] == {"KVM_EXIT_IO": 1, "KVM_EXIT_HLT": 1}


def test_a_crash_shows_registers_and_code(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", "--accel", "emu", "--mode", "protected", image(CRASH))
    assert result.status == 126
    assert "triple fault" in result.err
    assert "ud2" in result.err


def test_a_core_has_an_emulated_processor_s_registers(
    pykvm_command: Pykvm, image: MakeImage, tmp_path: object
) -> None:
    command = "run", "--accel", "emu", "--core", f"{tmp_path}/core", image(HALT)
    assert pykvm_command(*command).status == 0
    with open(f"{tmp_path}/core", "rb") as core:
        assert core.read(4) == b"\x7fELF"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--smp", "2"), "2 processors: an emulated machine has one"),
        (("--irqchip", "kernel"), "irqchip kernel: an emulated machine has user or none"),
        (("--irqchip", "split"), "irqchip split: an emulated machine has user or none"),
        (("--cpu", "host,-sse2"), "cpu host,-sse2: an emulated processor has what"),
    ],
)
def test_what_the_emulator_has_not_is_refused(
    pykvm_command: Pykvm, image: MakeImage, words: tuple[str, ...], complaint: str
) -> None:
    result = pykvm_command("run", "--accel", "emu", *words, image(HALT))
    assert result.status == 125
    assert complaint in result.complaint
    assert "--accel kvm" in result.complaint


def test_who_did_not_ask_for_it_is_told_why_there_is_no_kvm(
    pykvm_command: Pykvm, image: MakeImage
) -> None:
    result = pykvm_command("run", "--smp", "2", image(HALT), lacks=["no-kvm"])
    assert result.status == 125
    assert "/dev/kvm is missing" in result.complaint


def test_a_bundled_guest_that_needs_kvm_is_refused(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "--accel", "emu", "apic_timer")
    assert result.status == 125
    assert result.complaint.startswith("apic_timer: it needs a local APIC")


def test_what_is_about_kvm_refuses_the_emulator(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("explain", "--accel", "emu", image(HALT))
    assert result.status == 125
    assert result.complaint == (
        "pykvm explain tells what KVM does, call by call: not with --accel emu"
    )


def test_a_restart_is_emulated_too_and_told_of_once(pykvm_command: Pykvm, image: MakeImage) -> None:
    guest = image(("b0 fe", "e6 64", "eb fe"))  # mov al, 0xfe; out 0x64, al; jmp .
    command = "run", "--reboot", "restart", "--timeout", "0.3", guest
    result = pykvm_command(*command, lacks=["no-kvm"])
    assert result.status == 124
    assert result.err.count("emulating the guest") == 1
