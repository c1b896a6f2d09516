"""`--gdb` and `--wait`: where the server listens, and how waiting for a debugger ends."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import HALT, MakeImage, Pykvm, Start, finish
from tests.cli.gdb_session import target_of
from tests.support.rsp import RspClient


@pytest.mark.parametrize("spec", ["", "x", "65536", "::1:1234", "unix:", "1234:"])
def test_a_bad_address_is_a_mistake(pykvm_command: Pykvm, spec: str) -> None:
    result = pykvm_command("run", "halt", "--gdb", spec)
    assert result.status == 2
    assert result.complaint.startswith("pykvm run: argument --gdb: ")


@pytest.mark.parametrize("words", [("--wait",), ("--gdb-arch", "i386")])
def test_options_that_need_it(pykvm_command: Pykvm, words: tuple[str, ...]) -> None:
    result = pykvm_command("run", "halt", *words)
    assert result.status == 2
    assert result.complaint.startswith(f"pykvm run: {words[0]} needs --gdb (")


def test_an_address_in_use(pykvm_command: Pykvm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"localhost:{other.getsockname()[1]}"
        result = pykvm_command("run", "halt", "--gdb", where)
    assert result.status == 125
    assert result.complaint == (
        f"gdb: cannot listen at {where}: Address already in use: choose another place"
    )


def test_a_socket_that_cannot_be_made_is_a_failure_in_json_too(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "halt", "--gdb", "unix:/nonexistent/socket", "--json")
    assert result.status == 125
    assert "/nonexistent/socket" in json.loads(result.out)["error"]


@pytest.mark.needs
def test_the_guest_runs_without_anybody_coming(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(HALT), "--gdb", "0")
    assert result.status == 0
    assert result.err.startswith("gdb: target remote localhost:")


@pytest.mark.needs
def test_a_unix_socket_goes_with_the_guest(
    pykvm_command: Pykvm, image: MakeImage, tmp_path: Path
) -> None:
    result = pykvm_command("run", image(HALT), "--gdb", "unix:here")
    assert (result.status, result.err) == (0, f"gdb: target remote {tmp_path}/here\n")
    assert not (tmp_path / "here").exists()


@pytest.mark.needs
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_ends_the_waiting(
    start: Start, image: MakeImage, tmp_path: Path, number: int, status: int
) -> None:
    child = start("run", image(HALT), "--gdb", "unix:here", "--wait")
    target_of(child.stderr)
    with RspClient(socket.socket(socket.AF_UNIX)) as client:
        client.socket.connect(str(tmp_path / "here"))
        assert client.ask(b"?") == b"T05thread:1;"
        child.send_signal(number)
        assert client.reply() == b"W%02x" % status
    result = finish(child)
    assert (result.status, result.err) == (
        status,
        f"pykvm: stopped by {signal.Signals(number).name}\n",
    )
    assert not (tmp_path / "here").exists()


@pytest.mark.needs
def test_a_timeout_ends_the_waiting(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(HALT), "--gdb", "0", "--wait", "--timeout", "0.1")
    assert result.status == 124


@pytest.mark.needs
def test_a_client_that_vanishes_is_told_of(start: Start, image: MakeImage) -> None:
    child = start("run", image(HALT), "--gdb", "0", "--wait", "--json")
    host, _, port = target_of(child.stderr).rpartition(":")
    for last in (b"$m0,", b"$vKill;1#6e"):
        with RspClient(socket.create_connection((host, int(port)))) as client:
            client.ask(b"?")
            client.send(last)
            if last.startswith(b"$v"):
                assert client.reply() == b"OK"
    result = finish(child)
    assert result.status == 143
    assert result.err == "gdb: the debugger has gone; the stopped guest waits for the next one\n"
    assert json.loads(result.out)["detail"] == "its debugger"
