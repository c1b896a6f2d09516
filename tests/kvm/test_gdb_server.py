"""The server for debuggers over a real machine, its packets seen by a plain client."""

from __future__ import annotations

import random

import pytest

from pykvm import GuestCrash, Machine, Mode
from pykvm.cpu.stop import Stop, StopReason
from pykvm.gdb.description import description
from tests.kvm.gdb_rig import Debugged, debugged
from tests.support.rsp import RspClient, framed
from tests.unit.gdb.random_packets import HARMLESS, PACKETS, noise, on_the_wire, random_content

COUNT = bytes.fromhex(
    "40"  # inc ax
    "a3 00 20"  # mov [0x2000], ax
    "eb fa"  # jmp to the inc
)
START, STORE, JUMP = 0x1000, 0x1001, 0x1004
PRINT_A = bytes.fromhex(
    "ba f8 03"  # mov dx, 0x3f8
    "b0 41"  # mov al, 'A'
    "ee"  # out dx, al
    "f4"  # hlt
)
OUT = 0x1005


def register(client: RspClient, name: str, architecture: str = "i8086") -> int:
    registers = description(architecture).registers
    (index,) = (i for i, each in enumerate(registers) if each.name == name)
    return int.from_bytes(bytes.fromhex(client.ask(b"p%x" % index).decode()), "little")


@pytest.fixture
def machine(accel: str) -> Machine:
    return Machine("64K", irqchip="none", accel=accel)


def test_breakpoint_step_and_end(machine: Machine) -> None:
    with machine:
        machine.load(PRINT_A)
        with debugged(machine) as server, server.connect() as client:
            client.ask(b"qSupported:swbreak+;hwbreak+")
            assert client.ask(b"Z0,%x,1" % OUT) == b"OK"
            assert client.ask(b"m%x,2" % OUT) == b"eef4", "the guest's own bytes"
            assert client.ask(b"c") == b"T05swbreak:;thread:1;"
            assert (register(client, "eip"), register(client, "eax")) == (OUT, 0x41)
            assert machine.output == b""
            assert client.ask(b"z0,%x,1" % OUT) == b"OK"
            assert client.ask(b"s") == b"T05thread:1;"
            assert machine.output == b"A", "the step's device access is done"
            assert register(client, "eip") == OUT + 1
            assert client.ask(b"c") == b"W00"
            assert server.end() == Stop(StopReason.HALTED)


def test_registers_are_set(machine: Machine) -> None:
    with machine:
        machine.load(PRINT_A)
        with debugged(machine) as server, server.connect() as client:
            assert client.ask(b"Z1,%x,1" % OUT) == b"OK"
            client.ask(b"c")
            assert client.ask(b"P0=42000000") == b"OK"
            assert client.ask(b"c") == b"W00"
            server.end()
            assert machine.output == b"B"


def test_all_registers_survive_being_written(machine: Machine) -> None:
    with machine:
        machine.load(PRINT_A, mode=Mode.LONG)
        with debugged(machine) as server, server.connect() as client:
            everything = client.ask(b"g")
            assert len(everything) == 2 * sum(r.size for r in description("i386:x86-64").registers)
            assert client.ask(b"G" + everything) == b"OK"
            assert client.ask(b"g") == everything
            assert register(client, "rip", "i386:x86-64") == 0x1000
            assert server.thread.is_alive()


def test_a_guest_that_runs_is_stopped_and_goes_on(machine: Machine) -> None:
    with machine:
        machine.load(COUNT)
        with debugged(machine, wait=False) as server:
            with server.connect() as client:
                client.ask(b"?")
                assert register(client, "eip") in (START, STORE, JUMP)
                before = client.ask(b"m2000,2")
                client.send(framed(b"c"))
                client.send(b"\x03")
                assert client.reply() == b"T02thread:1;"
                for _ in range(6):
                    assert client.ask(b"vCont;s:1") == b"T05thread:1;"
                assert client.ask(b"m2000,2") != before
                assert client.ask(b"D") == b"OK"
            with server.connect() as client:
                assert client.ask(b"?") == b"T05thread:1;"


def test_a_client_that_vanishes_takes_its_breakpoints_along(machine: Machine) -> None:
    with machine:
        machine.load(PRINT_A)
        with debugged(machine) as server:
            with server.connect() as client:
                assert client.ask(b"Z0,%x,1" % OUT) == b"OK"
                client.send(b"$m0,")
            with server.connect() as client:
                assert client.ask(b"c") == b"W00"
            assert server.end() == Stop(StopReason.HALTED)


def test_a_crash_can_be_looked_at(machine: Machine) -> None:
    with machine:
        machine.load(b"\x0f\x0b", mode=Mode.PROTECTED)  # ud2, and no interrupt table
        with debugged(machine) as server, server.connect() as client:
            client.send(framed(b"c"))
            assert client.reply().startswith(b"O")
            assert client.reply() == b"T0bthread:1;"
            assert client.ask(b"m1000,2") == b"0f0b"
            assert client.ask(b"c") == b"X06"
            assert isinstance(server.end(), GuestCrash)


def test_monitor_commands(machine: Machine) -> None:
    with machine:
        machine.load(PRINT_A, mode=Mode.LONG)
        with debugged(machine) as server, server.connect() as client:
            client.ask(b"vCont;s:1")
            # a step of an emulated guest leaves it for nobody
            exits = {"kvm": "KVM_EXIT_DEBUG", "emu": "all"}[machine.accelerator.name]
            assert exits in client.command("info exits")
            assert "long mode, 64-bit code" in client.command("registers")
            assert "64-bit code, read" in client.command("gdt")
            assert client.command("idt").startswith("idt at 0x")
            walk = client.command("translate 0x1000").splitlines()
            assert walk[0].startswith("0x1000 -> 0x1000")
            assert [line.split()[0] for line in walk[1:]][:1] == ["PML4E"]
            assert server.thread.is_alive()


def test_two_processors_are_two_threads() -> None:
    with Machine("64K", smp=2) as two:
        two.load(COUNT)
        with debugged(two) as server, server.connect() as client:
            assert client.ask(b"qfThreadInfo") == b"m1,2"
            assert b"waits for INIT" in client.ask(b"qXfer:threads:read::0,1000")
            assert client.ask(b"vCont;s:1") == b"T05thread:1;"
            assert client.ask(b"Hg2") == b"OK"
            assert register(client, "eip") == 0xFFFFFFF0
            assert client.ask(b"Hg1") == b"OK"
            assert register(client, "eip") == STORE
            client.send(framed(b"c"))
            client.send(b"\x03")
            assert client.reply()[:3] == b"T02"


CHANGING = {bytes((letter,)) for letter in b"GPMXvcCsSDk"}


def flood(server: Debugged, dice: random.Random) -> int:
    """One connection full of random packets, cut off at any byte; returns how many."""
    count = dice.randrange(1, 200)
    contents = [
        noise(dice) if dice.randrange(4) == 0 else random_content(dice, HARMLESS)
        for _ in range(count)
    ]
    # whatever changes the guest is left out, as its letter says
    packets = [c for c in contents if c[:1] not in CHANGING]
    stream = b"".join(on_the_wire(dice, content) for content in packets)
    with server.connect() as client:
        client.send(stream[: dice.randrange(len(stream) + 1)])
    return count


def test_random_packets_hurt_neither_guest_nor_server(machine: Machine) -> None:
    dice = random.Random("gdb")
    with machine:
        machine.load(PRINT_A)
        with debugged(machine) as server:
            with server.connect() as client:
                registers, code = client.ask(b"g"), client.ask(b"m1000,10")
            sent = 0
            while sent < PACKETS:
                sent += flood(server, dice)
            with server.connect() as client:
                assert client.ask(b"g") == registers
                assert client.ask(b"m1000,10") == code
                assert client.ask(b"c") == b"W00"
            assert server.end() == Stop(StopReason.HALTED)
            assert machine.output == b"A"
