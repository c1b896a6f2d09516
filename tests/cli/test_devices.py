"""The options that give a machine more than it has: --fw-cfg and --testdev."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import HALT, MakeImage, Pykvm, Result

pytestmark = pytest.mark.needs()

LATCH = (  # says what comes back from the test device's latch
    "b0 2a",  # mov al, 42
    "e6 e0",  # out 0xe0, al
    "e4 e0",  # in al, 0xe0
    "e6 f4",  # out 0xf4, al
)
FLUSH = (  # says what a page holds that the test device had forgotten
    "c6 06 00 50 15",  # mov byte [0x5000], 21
    "66 b8 00 50 00 00",  # mov eax, 0x5000
    "66 e7 e4",  # out 0xe4, eax
    "a0 00 50",  # mov al, [0x5000]
    "e6 f4",  # out 0xf4, al
)


@pytest.mark.needs("protected_mode", "rep_ins")
def test_a_guest_reads_a_file_that_the_command_gives(pykvm_command: Pykvm, tmp_path: Path) -> None:
    (tmp_path / "message").write_text("from a file")
    for content, message in (("string=a,, b", b"a, b"), ("file=message", b"from a file")):
        result = pykvm_command(
            "run", "fw_cfg", "--fw-cfg", f"name=opt/message,{content}", "--fw-cfg", "opt/a,string="
        )
        assert (result.status, result.err) == (0, "")
        assert result.out.endswith(b"\n" + message + b"\nPASS\n")


def test_files_that_cannot_be(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(HALT), "--fw-cfg", "opt/a,file=missing")
    assert (result.status, result.complaint) == (
        125,
        "--fw-cfg: missing: No such file or directory",
    )
    result = pykvm_command(
        "run", image(HALT), "--fw-cfg", "opt/a,string=1", "--fw-cfg", "opt/a,string=2"
    )
    assert (result.status, result.complaint) == (
        125,
        "fw_cfg file 'opt/a' is there already: give each name once",
    )


def test_the_test_device_is_there_if_asked_for(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(LATCH), "--testdev") == Result(42 << 1 | 1, b"", "")
    assert pykvm_command("run", image(LATCH)).status == 255


def test_a_flushed_page_keeps_what_it_holds(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(FLUSH), "--testdev", "--strict") == Result(43, b"", "")
