"""A run of the emulated machine, with a QEMU that does as the test says."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.leaks import nothing_left_behind
from tests.svm import machine
from tests.svm.failure import Failure, TimeUp
from tests.svm.machine import Limits, run
from tests.svm.parts import Parts
from tests.unit.svm.fakes import QEMU, program

LIMITS = Limits(seconds=60, memory=512, cpus=1)

MakeParts = Callable[[str], Parts]


@pytest.fixture
def parts(tmp_path: Path) -> MakeParts:
    def make(does: str) -> Parts:
        (tmp_path / "initrd").write_bytes(b"modules;")
        qemu = program(tmp_path, "qemu", QEMU + does)
        return Parts(qemu, (), tmp_path / "kernel", tmp_path / "initrd")

    return make


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_streams_and_status_are_the_command_s(
    parts: MakeParts, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    does = """\
say("console", "a kernel's message\\n")
say("status", "up\\n")
say("out", "to out\\n")
say("err", "to err")
say("status", "7\\n")
"""
    with nothing_left_behind():
        assert run(parts(does), "true", LIMITS) == 7
    assert capfdbinary.readouterr() == (b"to out\n", b"to err")
    assert not children()


def test_verbose_shows_the_kernel_s_messages(
    parts: MakeParts, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    does = 'say("console", " ".join(sys.argv))\nsay("status", "up\\n0\\n")'
    assert run(parts(does), "true", LIMITS, verbose=True) == 0
    line = capfdbinary.readouterr().err.decode()
    assert "console=ttyS0" in line
    assert "quiet" not in line


def test_the_command_is_in_the_initial_ram_disk(
    parts: MakeParts, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    does = """\
say("status", "up\\n")
with open(sys.argv[sys.argv.index("-initrd") + 1], "rb") as file:
    say("out", file.read().decode("latin-1"))
say("status", "0\\n")
"""
    assert run(parts(does), "echo 'so be it'", LIMITS) == 0
    image = capfdbinary.readouterr().out.decode()
    assert image.startswith("modules;070701")
    assert "echo 'so be it'" in image
    assert "The first process of the emulated machine" in image


def test_limits_reach_qemu(parts: MakeParts, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    does = 'say("out", " ".join(sys.argv))\nsay("status", "up\\n0\\n")'
    assert run(parts(does), "true", Limits(60, 777, 5)) == 0
    command = capfdbinary.readouterr().out.decode()
    assert "-m 777" in command
    assert "-smp 5" in command
    assert "readonly=on" in command


def test_a_kernel_that_does_not_come_up(parts: MakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "BOOT_SECONDS", 0.5)
    does = 'say("console", "Kernel panic\\n - not really\\n\\n")\ntime.sleep(1000)'
    with (
        nothing_left_behind(),
        pytest.raises(Failure, match=r"no kernel is up after 0.5 seconds; it said last: - not"),
    ):
        run(parts(does), "true", LIMITS)
    assert not children()


def test_a_qemu_that_gives_up(parts: MakeParts) -> None:
    does = 'sys.exit("qemu: cannot set up guest memory")'
    with pytest.raises(Failure, match=r"without the command's exit status; .*set up guest memory"):
        run(parts(does), "true", LIMITS)


def test_a_machine_that_ends_early_and_in_silence(parts: MakeParts) -> None:
    with pytest.raises(Failure, match="it said nothing"):
        run(parts('say("status", "up\\n")'), "true", LIMITS)


UP = 'say("status", "up\\n")\n'
SLEEP = "time.sleep(1000)"
TALK = 'while True: say("out", "blah\\n" * (1 << 20))'


@pytest.mark.parametrize("does", [SLEEP, UP + SLEEP, UP + TALK], ids=["boot", "sleep", "talk"])
def test_time_runs_out(parts: MakeParts, does: str) -> None:
    with nothing_left_behind(), pytest.raises(TimeUp, match=r"stopped after 0\.5 seconds"):
        run(parts(does), "true", Limits(0.5, 512, 1))
    assert not children()


def test_output_that_never_ceases_does_not_put_off_the_end() -> None:
    with machine._Output(verbose=False) as output:
        os.write(output.writers["console"], b"more")
        assert not output.read(time.monotonic() - 1)
        assert output.read(time.monotonic() + 60)


def test_qemu_does_not_outlive_a_killed_run(parts: MakeParts, tmp_path: Path) -> None:
    does = f"""\
with open({str(tmp_path / "pid")!r}, "w") as file:
    file.write(str(os.getpid()))
say("status", "up\\n")
time.sleep(1000)
"""
    made = parts(does)
    reader, writer = os.pipe()
    runner = os.fork()
    if not runner:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        run(made, "true", LIMITS)
        os._exit(0)
    os.close(writer)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        os.sched_yield()
    qemu = psutil.Process(int(pid.read_text()))
    os.kill(runner, 9)
    os.waitpid(runner, 0)
    qemu.wait(timeout=60)
    os.close(reader)


def test_init_knows_the_ports() -> None:
    """The numbers on QEMU's command line are those that the first process opens."""
    command = machine._qemu(Parts(Path("q"), (), Path("k"), Path("i")), LIMITS, quiet=True)
    ports = re.findall(r"virtserialport,nr=(\d),chardev=(\w+)", " ".join(command))
    numbers = {name: number for number, name in ports}
    init = Path(machine.__file__).with_name("init.sh").read_text(encoding="utf-8")
    assert dict(re.findall(r"(\w+)=/root/dev/vport0p(\d)", init)) == numbers
