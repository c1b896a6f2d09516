"""What the side-by-side benchmarks make of outputs, and of a peer that is not there."""

from __future__ import annotations

from pathlib import Path

import peer_exits
import peer_start
import pytest
from peer_exits import PORTS, ticks_in
from peer_images import ACCESSES, GREETING, with_blocks
from peer_qemu import find_qemu, version_in
from peer_start import PASS, Times

from pykvm.manifest import find_guest


def test_ticks_are_of_one_access_in_the_median_block() -> None:
    blocks = [[64, 6400, 128]] * (len(PORTS) - 1) + [[640, 640, 64]]
    said = "".join(f"{ticks:08X}\n" for port in blocks for ticks in port)
    assert ACCESSES == 64
    assert ticks_in(said.encode(), 3) == [2.0] * (len(PORTS) - 1) + [10.0]


@pytest.mark.parametrize("said", [b"", b"00000040\n" * 7, b"00000040\n" * 9])
def test_another_number_of_lines_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match="lines, not 8"):
        ticks_in(said, 2)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ticks_in(b"hello\n" * len(PORTS), 1)


def test_the_timing_guest_is_told_its_blocks() -> None:
    assert with_blocks(b"\xff" * 8, 0x102) == b"\xff\xff\xff\xff\x02\x01\xff\xff"


def test_the_greeting_is_that_of_the_bundled_guest() -> None:
    hello = find_guest("hello")
    assert hello is not None
    assert hello.output == GREETING


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright", "7.2.22"),
        ("QEMU emulator version 9.1.0\nCopyright", "9.1.0"),
        ("something else", "of unknown version"),
        ("QEMU emulator version ", "of unknown version"),
    ],
)
def test_versions(said: str, version: str) -> None:
    assert version_in(said) == version


def test_a_missing_qemu_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_qemu(tmp_path / "rom") == "qemu-system-x86_64 is not installed: left out"


def test_a_qemu_that_fails_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 7.0" && exit\n'
        "echo no KVM here >&2; echo more >&2; exit 1\n",
        encoding="utf-8",
    )
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = find_qemu(tmp_path / "rom")
    assert found == "QEMU 7.0 cannot run the guest (no KVM here): left out"


def test_exits_are_compared_port_by_port() -> None:
    ours, bare, peer = [20.0, 21.0, 22.0, 23.0], [10.0] * 4, [40.0, 41.0, 42.0, 43.0]
    result = peer_exits.figures(("pykvm", "bare C", "QEMU pc"), [[ours, bare, peer]], 0.5)
    assert len(result) == 3 * len(PORTS)
    second = {(f.name, f.against): f.pairs for f in result if f.name.startswith(PORTS[1].name)}
    assert second == {
        ("`out 0xe9`: pykvm", "QEMU pc"): [(10.5, 20.5)],
        ("`out 0xe9`: pykvm", "bare C"): [(10.5, 5.0)],
        ("`out 0xe9`: QEMU pc", "bare C"): [(20.5, 5.0)],
    }


def test_starts_are_compared_with_the_peers_there_are() -> None:
    names = ("`pykvm run hello.bin`", "VMM in C, hello.bin", PASS)
    taken = [[Times(1.0, 2.0, 3.0), Times(4.0, 5.0, 6.0), Times(7.0, 8.0, 9.0)]]
    result = peer_start.figures(names, taken)
    assert {(f.name, f.against): f.pairs for f in result} == {
        ("whole process: `pykvm run hello.bin`", "VMM in C, hello.bin"): [(2.0, 5.0)],
        ("whole process: `pykvm run hello.bin`", PASS): [(2.0, 8.0)],
        ("to the first byte: `pykvm run hello.bin`", "VMM in C, hello.bin"): [(1.0, 4.0)],
        ("processor time: `pykvm run hello.bin`", "VMM in C, hello.bin"): [(3.0, 6.0)],
        ("processor time: `pykvm run hello.bin`", PASS): [(3.0, 9.0)],
    }
