"""What people read first: the help, the version."""

from __future__ import annotations

import pytest

from pykvm.cli import COMMANDS, main
from tests.cli.conftest import Pykvm


def test_pykvm_alone_shows_the_commands(pykvm_command: Pykvm) -> None:
    result = pykvm_command()
    assert (result.status, result.err) == (0, "")
    text = result.out.decode()
    for name, what in COMMANDS.items():
        assert f"  {name:<10} {what}\n" in text
    assert pykvm_command("--help") == result


def test_the_version(pykvm_command: Pykvm) -> None:
    result = pykvm_command("--version")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(b"pykvm ")


@pytest.mark.parametrize("words", [[], *([name, "--help"] for name in COMMANDS)])
def test_help_fits_80_columns(pykvm_command: Pykvm, words: list[str]) -> None:
    result = pykvm_command(*words)
    assert (result.status, result.err) == (0, "")
    assert max(map(len, result.out.decode().splitlines())) <= 80


def test_the_help_of_run_names_every_option_and_status(pykvm_command: Pykvm) -> None:
    text = pykvm_command("run", "--help").out.decode()
    for option in (
        *("--memory", "--mode", "--load-addr", "--entry", "--timeout", "--serial"),
        *("--strict", "--stats", "--json", "--append", "--initrd", "--module"),
        *("--fw-cfg", "--testdev", "--bios", "--drive", "--debugcon"),
    ):
        assert f"{option} " in text
    for status in ("0 ", "(V<<1)|1 ", "2 ", "124 ", "125 ", "126 ", "130 ", "143 "):
        assert f"\n  {status}" in text


def test_in_process_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--nonsense"]) == 2
    assert main(["nonsense"]) == 2
    assert main(["--version"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("pykvm ")
    assert err.count("\n") == 2
