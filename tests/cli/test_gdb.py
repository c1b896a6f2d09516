"""Real gdb sessions: real, protected and long mode, two processors, and their ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.cli.conftest import CRASH, PRINT_A_AND_SPIN, RESET, SPIN, MakeImage, read_some
from tests.cli.gdb_session import Debuggable, Gdb, debuggable, gdb, start_gdb

__all__ = ["debuggable", "gdb", "start_gdb"]

pytestmark = pytest.mark.needs()

STORE_TWICE = (
    "b0 11",  # mov al, 0x11
    "a2 00 20",  # mov [0x2000], al
    "04 22",  # add al, 0x22
    "a2 00 20",  # mov [0x2000], al
    "f4",  # hlt
)
BOTH_COUNT = (
    "ff 05 00 20 00 00",  # inc dword ptr [0x2000]
    "eb f8",  # jmp to the inc
)


def test_real_mode(debuggable: Debuggable, gdb: Gdb, image: MakeImage) -> None:
    guest = debuggable(image(STORE_TWICE))
    said = gdb(
        guest.target,
        "x/4i $pc",
        "break *0x1005",
        "continue",
        "print/x $al",
        "stepi",
        "print/x $eax",
        "print/x *(char*)0x2000",
        "set $eax = 0x44",
        "stepi",
        "x/1xb 0x2000",
        "continue",
    )
    assert "=> 0x1000:\tmov    $0x11,%al\n   0x1002:\tmov    %al,0x2000\n" in said
    assert "Breakpoint 1, 0x00001005 in" in said
    for line in ("$1 = 0x11\n", "$2 = 0x33\n", "$3 = 0x11\n", "0x2000:\t0x44\n"):
        assert line in said
    assert said.endswith("[Inferior 1 (Remote target) exited normally]\n")
    assert guest.end().status == 0


def test_a_segment_that_does_not_begin_at_0(
    debuggable: Debuggable, gdb: Gdb, image: MakeImage
) -> None:
    """The program counter is linear: gdb finds code and breakpoints there."""
    guest = debuggable(image(("ea 05 00 00 10", "90", "90", "f4")))  # jmp 0x1000:5; nop; nop; hlt
    said = gdb(
        guest.target,
        *("set *(int*)0x10005 = 0xf49090", "break *0x10006", "continue", "x/2i $pc"),
        *("info registers eip cs", "monitor registers", "continue"),
    )
    assert "Breakpoint 1, 0x00010006 in" in said
    assert "=> 0x10006:\tnop\n   0x10007:\thlt" in said
    assert "eip            0x10006 " in said
    assert "eip 00000006" in said
    assert "exited normally" in said
    guest.end()


def test_protected_mode(debuggable: Debuggable, gdb: Gdb) -> None:
    guest = debuggable("hello_protected")
    said = gdb(
        guest.target,
        *("show architecture", "x/2i $pc", "stepi", "info registers eip cr0 cs"),
        *("monitor gdt", "detach"),
    )
    assert 'currently "i386"' in said
    assert "=> 0x1000:\tcld\n   0x1001:\tmov    $0x" in said
    assert "0x00001001 in" in said
    assert "[ PE ET" in said
    assert "32-bit code, read" in said
    result = guest.end()
    assert (result.status, result.out) == (0, b"Hello from 32-bit protected mode.\nPASS\n")


@pytest.mark.needs("long_mode")
def test_long_mode(debuggable: Debuggable, gdb: Gdb) -> None:
    guest = debuggable("hello_long")
    said = gdb(
        guest.target,
        *("show architecture", "hbreak *0x1001", "continue", "info registers efer fs_base"),
        *("print $xmm15.uint128", "print $_thread", "monitor translate 0x1001", "delete"),
        *("x/1xb 0x123456789abc", "x/1xb 0x8000000000000000", "continue"),
    )
    assert 'currently "i386:x86-64"' in said
    assert "Breakpoint 1, 0x0000000000001001 in" in said
    assert "[ LME LMA ]" in said
    assert "0x1001 -> 0x1001  (4-level paging)" in said
    assert "Cannot access memory at address 0x123456789abc" in said
    assert "Cannot access memory at address 0x8000000000000000" in said
    assert "exited normally" in said
    result = guest.end()
    assert (result.status, result.out) == (0, b"Hello from 64-bit long mode.\nPASS\n")


@pytest.mark.needs("mode_switch")
def test_a_guest_that_changes_its_mode(debuggable: Debuggable, gdb: Gdb) -> None:
    """Connecting anew gives gdb the description for the new mode; the guest stays where it is."""
    guest = debuggable("real_to_long")
    said = gdb(
        guest.target,
        *("x/i $pc", "break *0x1083", "continue", "info registers efer", "disconnect", "delete"),
        *(f"target remote {guest.target}", "info registers rip", "stepi", "continue"),
    )
    assert "Breakpoint 1, 0x00001083 in" in said
    assert "[ LME LMA ]" in said
    assert "rip            0x1083 " in said
    assert "0x0000000000001088 in" in said
    assert "exited normally" in said
    result = guest.end()
    assert (result.status, result.out[-16:]) == (0, b"Long mode.\nPASS\n")


def test_a_description_of_one_s_choice(debuggable: Debuggable, gdb: Gdb) -> None:
    guest = debuggable("hello_protected", "--gdb-arch", "x86-64")
    said = gdb(guest.target, "info registers rip", "continue")
    assert "rip            0x1000 " in said
    assert "exited normally" in said
    guest.end()


def test_a_watchpoint(debuggable: Debuggable, gdb: Gdb, image: MakeImage) -> None:
    guest = debuggable(image(STORE_TWICE))
    said = gdb(
        guest.target, *("watch *(unsigned char*)0x2000", "continue", "continue", "delete"), "c"
    )
    assert "Old value = 0 '\\000'\nNew value = 17 '\\021'" in said
    assert "Old value = 17 '\\021'\nNew value = 51 '3'" in said
    assert "exited normally" in said
    guest.end()


@pytest.mark.parametrize("debuggable", ["kvm"], indirect=True)
@pytest.mark.needs("msi", "locked", "hw_breakpoint")  # steps end where SIPI starts a processor
def test_two_processors(debuggable: Debuggable, gdb: Gdb) -> None:
    guest = debuggable("smp_count", "--smp", "2")
    said = gdb(
        guest.target,
        *("info threads", "break *0x2000", "continue", "info threads", "thread 1"),
        *("info registers cs", "thread 2", "stepi", "delete", "continue"),
    )
    assert 'Thread 1 "vcpu0" (real mode)' in said
    assert 'Thread 2 "vcpu1" (real mode, waits for INIT)' in said
    assert 'Thread 2 "vcpu1" hit Breakpoint 1, 0x00002000 in' in said
    assert "[Switching to thread 1 (Thread 1)]" in said
    assert "exited normally" in said
    result = guest.end()
    assert result.status == 0
    assert result.out.endswith(b"PASS\n")


def test_ctrl_c(
    debuggable: Debuggable,
    start_gdb: Callable[..., subprocess.Popen[str]],
    image: MakeImage,
) -> None:
    guest = debuggable(image(PRINT_A_AND_SPIN))
    child = start_gdb(guest.target, "continue", "x/i $pc", "stepi", "x/i $pc", "kill")
    read_some(guest.process.stdout, b"A")
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate()
    assert "received signal SIGINT" in said
    assert said.count("=> 0x1006:\tjmp") == 2
    assert "killed" in said
    result = guest.end()
    assert (result.status, result.err) == (143, "pykvm: stopped by its debugger\n")


def test_a_guest_that_runs_is_stopped_by_coming_and_goes_on_after_detaching(
    debuggable: Debuggable, gdb: Gdb, image: MakeImage
) -> None:
    guest = debuggable(image(PRINT_A_AND_SPIN), wait=False)
    read_some(guest.process.stdout, b"A")
    for _ in range(2):
        assert "=> 0x1006:\tjmp" in gdb(guest.target, "x/i $pc", "break *0x1000", "detach")
    guest.process.send_signal(signal.SIGINT)
    result = guest.end()
    assert (result.status, result.err) == (130, "pykvm: stopped by SIGINT\n")


def test_a_second_debugger_is_told_so(
    debuggable: Debuggable,
    start_gdb: Callable[..., subprocess.Popen[str]],
    gdb: Gdb,
    image: MakeImage,
) -> None:
    guest = debuggable(image(PRINT_A_AND_SPIN))
    first = start_gdb(guest.target, "continue", "x/i $pc", "kill")
    read_some(guest.process.stdout, b"A")
    assert "pykvm: another debugger is attached to this guest" in gdb(guest.target)
    first.send_signal(signal.SIGINT)
    assert "=> 0x1006:\tjmp" in first.communicate()[0]
    assert guest.end().status == 143


def test_a_crash(debuggable: Debuggable, gdb: Gdb, image: MakeImage) -> None:
    guest = debuggable(image(CRASH, "crash.bin32"))
    said = gdb(guest.target, "continue", "x/1i 0x1000", "continue")
    assert "the guest crashed: " in said
    assert "received signal SIGSEGV" in said
    assert "0x1000:\tud2" in said
    assert "terminated with signal SIGABRT" in said
    result = guest.end()
    assert result.status == 126
    assert result.err.startswith("pykvm: the guest crashed: ")


def test_a_restart_keeps_breakpoints(debuggable: Debuggable, gdb: Gdb, image: MakeImage) -> None:
    guest = debuggable(image(RESET), "--reboot", "restart")
    said = gdb(guest.target, "break *0x1002", "continue", "continue", "continue", "kill")
    assert said.count("Breakpoint 1, 0x00001002 in") == 3
    assert guest.end().status == 143


def test_the_serial_line_works_meanwhile(
    debuggable: Debuggable, start_gdb: Callable[..., subprocess.Popen[str]]
) -> None:
    guest = debuggable("echo", stdin=subprocess.PIPE)
    child = start_gdb(guest.target, "continue")
    read_some(guest.process.stdout, b"ends.\n")
    assert guest.process.stdin is not None
    guest.process.stdin.write(b"abc\x04")
    guest.process.stdin.flush()
    read_some(guest.process.stdout, b"abcBye.\n")
    assert "exited normally" in child.communicate()[0]
    assert guest.end().status == 0


def test_a_guest_without_a_debugger_is_not_slowed_by_waiting_for_one(
    debuggable: Debuggable, image: MakeImage
) -> None:
    guest = debuggable(image(SPIN), "--timeout", "0.2", wait=False)
    assert guest.end().status == 124
