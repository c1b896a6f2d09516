"""A machine with several processors."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from pykvm import Device, Machine, Mode, Stop, StopReason
from pykvm.kvm import MpState
from pykvm.manifest import load_manifest
from pykvm.memory import Gpa
from tests.support.leaks import nothing_left_behind
from tests.support.processors import (
    AP_PAGE,
    HALT,
    OUT_30,
    OUT_30_FOR_EVER,
    START_OTHERS,
    WAIT,
    X2APIC_ON,
    load,
    send_ipi,
)
from tests.support.small_guests import SPIN, Recorder, stop_when

STRESS_RUNS = int(os.environ.get("PYKVM_STRESS_RUNS", "100"))

GUESTS = load_manifest(Path(__file__).resolve().parents[2] / "guests")
COUNTED = re.compile(rb"(Processor [0-3] has counted\.\n){4}PASS\n")


pytestmark = pytest.mark.needs("msi")  # whose guest turns on an x2APIC


class Told(Device):
    """Remembers which threads wrote to it, and says when there were so many."""

    def __init__(self, enough: int = 1) -> None:
        self.event = threading.Event()
        self.threads: set[str] = set()
        self._enough = enough

    def write(self, offset: int, size: int, value: int) -> None:
        self.threads.add(threading.current_thread().name)
        if len(self.threads) >= self._enough:
            self.event.set()


START_BY_XAPIC = bytes.fromhex(
    "c7 05 10 03 e0 fe 00 00 00 01"  # mov dword [0xfee00310], 1 << 24
    "c7 05 00 03 e0 fe 00 45 00 00"  # mov dword [0xfee00300], INIT
    "c7 05 00 03 e0 fe 02 46 00 00"  # mov dword [0xfee00300], SIPI to 0x2000
)


def test_a_guest_that_sets_up_no_apic_starts_another_all_the_same() -> None:
    """As memtest86+ does: it writes the interrupt command register, and nothing before."""
    with Machine("64K", smp=2) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(START_BY_XAPIC + HALT, mode=Mode.PROTECTED)
        machine.memory.write(Gpa(AP_PAGE << 12), OUT_30 + HALT)
        assert machine.run(timeout=30) == Stop(StopReason.HALTED)
        assert len(device.seen) == 1


@pytest.mark.parametrize("irqchip", ["kernel", "split"])
@pytest.mark.parametrize("smp", [2, 8])
def test_others_wait_until_they_are_started(irqchip: str, smp: int) -> None:
    with Machine("64K", irqchip=irqchip, smp=smp) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        load(machine, START_OTHERS + HALT, OUT_30 + HALT)
        states = [cpu.vcpu.get_mp_state() for cpu in machine.cpus]
        assert states == [MpState.RUNNABLE] + [MpState.UNINITIALIZED] * (smp - 1)
        assert machine.run(timeout=30) == Stop(StopReason.HALTED)
        assert len(device.seen) == smp - 1
        assert {cpu.vcpu.get_mp_state() for cpu in machine.cpus} == {MpState.HALTED}


def test_those_never_started_keep_nobody_from_ending() -> None:
    with nothing_left_behind(), Machine("64K", smp=4) as machine:
        load(machine, HALT, b"")
        assert machine.run(timeout=30).reason is StopReason.HALTED


def test_each_runs_on_a_thread_of_its_own_name() -> None:
    with Machine("64K", smp=3) as machine:
        told = Told()
        machine.ports.attach(0x30, 1, told)
        load(machine, START_OTHERS + OUT_30 + HALT, OUT_30 + HALT)
        machine.run(timeout=30)
    assert told.threads == {threading.current_thread().name, "vcpu1", "vcpu2"}


def test_the_kernel_knows_the_names_too() -> None:
    names = []

    class Asking(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            task = threading.get_native_id()
            names.append(Path(f"/proc/self/task/{task}/comm").read_text(encoding="ascii"))

    with Machine("64K", smp=2) as machine:
        machine.ports.attach(0x30, 1, Asking())
        load(machine, START_OTHERS + HALT, OUT_30 + HALT)
        machine.run(timeout=30)
    assert names == ["vcpu1\n"]


def test_each_finds_its_number_in_cpuid() -> None:
    tell_id = bytes.fromhex(
        "66 b8 01 00 00 00"  # mov eax, 1
        "0f a2"  # cpuid
        "66 89 d8"  # mov eax, ebx
        "66 e7 30"  # out 0x30, eax
    )
    with Machine("64K", smp=4) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 8, device)
        load(machine, START_OTHERS + tell_id + HALT, tell_id + HALT)
        machine.run(timeout=30)
    told = sorted(value for _, _, _, value in device.seen)
    assert [(value >> 24, value >> 16 & 0xFF) for value in told] == [(i, 4) for i in range(4)]


@pytest.mark.needs("locked")
def test_nothing_is_lost_when_they_count_and_print_together() -> None:
    for _ in range(STRESS_RUNS):
        with Machine("64K", smp=4) as machine:
            machine.load(GUESTS["smp_count"].path)
            assert machine.run(timeout=60) == Stop(StopReason.HALTED)
            assert COUNTED.fullmatch(machine.output), machine.output


def print_in_turn(me: int, character: bytes) -> bytes:
    """Code that prints 50 times, each time when the byte at 0x3000 says so, and gives it on."""
    return bytes.fromhex(
        "b1 32"  # mov cl, 50
        f"80 3e 00 30 {me:02x}"  # cmp byte ptr [0x3000], me
        "75 f9"  # jne back to it
        f"b0 {character.hex()}"  # mov al, character
        "ba f8 03"  # mov dx, 0x3f8
        "ee"  # out dx, al
        f"c6 06 00 30 {1 - me:02x}"  # mov byte ptr [0x3000], the other one
        "fe c9"  # dec cl
        "75 ea"  # jnz back to the cmp
    )


def test_writes_of_several_reach_a_device_in_the_guest_s_order() -> None:
    """Each on its own log would come when that processor looks: all of one's, then the other's."""
    clear_ds = bytes.fromhex(
        "31 c0"  # xor ax, ax
        "8e d8"  # mov ds, ax
    )
    with Machine("64K", smp=2) as machine:
        first = START_OTHERS + print_in_turn(0, b"a") + HALT
        load(machine, first, clear_ds + print_in_turn(1, b"b") + HALT)
        assert machine.run(timeout=60).reason is StopReason.HALTED
        assert machine.output == b"ab" * 50


def test_it_may_be_run_again_and_all_go_on() -> None:
    with Machine("64K", smp=3) as machine:
        told = Told(enough=2)
        machine.ports.attach(0x30, 1, told)
        load(machine, START_OTHERS + SPIN, OUT_30_FOR_EVER)
        for _ in range(3):
            told.event.clear()
            told.threads.clear()
            thread = threading.Thread(target=stop_when, args=(told.event, machine))
            thread.start()
            assert machine.run(timeout=60).reason is StopReason.STOPPED
            thread.join()
            assert told.threads == {"vcpu1", "vcpu2"}


def test_a_halted_machine_stays_halted() -> None:
    with Machine("64K", smp=2) as machine:
        load(machine, START_OTHERS + HALT + OUT_30, HALT + OUT_30)
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        for _ in range(2):
            assert machine.run(timeout=30).reason is StopReason.HALTED
        assert device.seen == []


def test_another_image_finds_them_waiting_again() -> None:
    with Machine("64K", smp=2) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        load(machine, START_OTHERS + HALT, OUT_30_FOR_EVER)
        machine.run(timeout=0.05)
        assert device.seen
        device.seen.clear()
        load(machine, HALT, OUT_30_FOR_EVER)
        assert machine.run(timeout=30).reason is StopReason.HALTED
        assert device.seen == []
        load(machine, START_OTHERS + HALT, OUT_30 + HALT)
        assert machine.run(timeout=30).reason is StopReason.HALTED
        assert len(device.seen) == 1


def test_the_first_ones_halt_is_not_the_end_while_another_runs() -> None:
    """Nor while one of them can still be interrupted."""
    for others in (SPIN, WAIT):
        with Machine("64K", smp=2) as machine:
            load(machine, START_OTHERS + HALT, others)
            assert machine.run(timeout=0.2).reason is StopReason.TIMEOUT


def test_an_nmi_of_another_wakes_one_that_halts() -> None:
    """It is sent long after the first one was seen asleep."""
    wait_then_send = bytes.fromhex(
        "66 b9 00 10 00 00"  # mov ecx, 4096
        "67 e2 fd"  # loop to itself, by ecx
    ) + send_ipi(0x4400)  # NMI to id 0
    with Machine("64K", smp=2) as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        load(machine, START_OTHERS + HALT, X2APIC_ON + wait_then_send + HALT)
        machine.memory.write(Gpa(2 * 4), bytes.fromhex("00 30 00 00"))  # vector 2: 0000:3000
        machine.memory.write(Gpa(0x3000), OUT_30 + HALT)
        assert machine.run(timeout=30).reason is StopReason.HALTED
        assert len(device.seen) == 1
