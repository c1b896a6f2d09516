"""Every bundled guest, run through the machine as `guests/manifest.toml` says."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pykvm import Device, Machine, Stop, StopReason
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.manifest import Guest, load_manifest
from pykvm.memory import Gpa
from pykvm.sizes import parse_size
from pykvm.x86 import PAGE_SIZE
from tests.support.bundled import load, run_as_the_manifest_says

FOLDER = Path(__file__).resolve().parents[2] / "guests"
GUESTS = load_manifest(FOLDER)

# Parameters of guests, as offsets in their images.
OUT_LOOP_COUNT, OUT_LOOP_PORT = 4, 8
WALKER_STRIDE = 8
LOAD_ADDRESS = 0x1000

WALKED = re.compile(rb"RAM ([0-9A-F]{16})-([0-9A-F]{16})\n")


class Counter(Device):
    """Counts the bytes written."""

    name = "counter"

    def __init__(self) -> None:
        self.count = 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.count += 1


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    subprocess.run(["make", "-s", "-C", str(FOLDER)], check=True)


@pytest.mark.parametrize(
    "guest",
    [pytest.param(g, id=name, marks=pytest.mark.needs(*g.needs)) for name, g in GUESTS.items()],
)
def test_it_ends_as_the_manifest_says(guest: Guest) -> None:
    run_as_the_manifest_says(guest, "kernel")


@pytest.mark.emulated
@pytest.mark.parametrize(
    "guest", [pytest.param(g, id=name) for name, g in GUESTS.items() if g.kvm_only is None]
)
def test_it_ends_so_on_the_emulator(guest: Guest) -> None:
    run_as_the_manifest_says(guest, "user", "emu")


def with_pykvm_s_controllers() -> Iterator[object]:
    """Guests that are interrupted, and need no APIC: what they need of KVM is something else."""
    for name, guest in GUESTS.items():
        if "irqchip" in guest.needs and "msi" not in guest.needs:
            others = {*guest.needs, "interrupt_window"} - {"irqchip", "pit"}
            yield pytest.param(guest, id=name, marks=pytest.mark.needs(*sorted(others)))


@pytest.mark.parametrize("guest", list(with_pykvm_s_controllers()))
def test_it_ends_so_with_pykvm_s_interrupt_controllers(guest: Guest) -> None:
    run_as_the_manifest_says(guest, "user")


@pytest.mark.needs("interrupt_window")
def test_the_bios_is_interrupted_by_pykvm_s_timer() -> None:
    run_as_the_manifest_says(GUESTS["bios_disk"], "user")


@pytest.mark.needs("long_mode", "mmio")
def test_mmio_says_so_when_there_is_no_device() -> None:
    with Machine() as machine:
        load(machine, GUESTS["mmio"])
        assert machine.run(timeout=10) == Stop(StopReason.DEBUG_EXIT, 2)
        assert machine.output == b"No device.\n"


def test_reset_is_a_reset() -> None:
    with Machine() as machine:
        load(machine, GUESTS["reset"])
        assert machine.run(timeout=10).reason is StopReason.RESET


def test_echo_loses_nothing() -> None:
    text = bytes(i % 251 for i in range(3000)).replace(b"\x04", b"").replace(b"\r", b"")
    with Machine() as machine:
        load(machine, GUESTS["echo"])
        assert machine.send(text + b"\x04") == len(text) + 1
        assert machine.run(timeout=60).status == 0
        assert machine.output == b"Type something; Ctrl-D ends.\n" + text + b"Bye.\n"


def test_clock_tells_the_time() -> None:
    with Machine() as machine:
        load(machine, GUESTS["clock"])
        before = datetime.now(UTC).replace(microsecond=0)
        assert machine.run(timeout=10).status == 0
        after = datetime.now(UTC)
        text = machine.output.decode().strip()
    told = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert before <= told <= after


@pytest.mark.parametrize("count", [1, 2, 300])
def test_out_loop_writes_as_often_as_told(count: int) -> None:
    counter = Counter()
    with Machine() as machine:
        machine.ports.attach(0x1234, 1, counter)
        load(machine, GUESTS["out_loop"])
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + OUT_LOOP_COUNT), 4, count)
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + OUT_LOOP_PORT), 2, 0x1234)
        assert machine.run(timeout=60).status == 0
    assert counter.count == count


def test_out_loop_goes_on_for_ever() -> None:
    with Machine() as machine:
        load(machine, GUESTS["out_loop"])
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + OUT_LOOP_COUNT), 4, 0)
        assert machine.run(timeout=60, max_exits=5000).reason is StopReason.BUDGET


@pytest.mark.needs("long_mode")
@pytest.mark.parametrize(
    ("memory", "stride"),
    [
        ("64K", PAGE_SIZE),
        ("640K", PAGE_SIZE),
        ("1028K", PAGE_SIZE),
        ("15M", PAGE_SIZE),
        ("17412K", PAGE_SIZE),
        ("3G", 2 * MIB),
        ("4G", 2 * MIB),
    ],
)
def test_memory_walker_walks_all_of_ram(memory: str, stride: int) -> None:
    size = parse_size(memory)
    with Machine(size) as machine:
        load(machine, GUESTS["memory_walker"])
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + WALKER_STRIDE), 8, stride)
        assert machine.run(timeout=60).status == 0
        ranges = [(int(a, 16), int(b, 16)) for a, b in WALKED.findall(machine.output)]
    low_end = min(size, LOW_RAM_END)
    assert ranges[0][0] <= 12 * KIB
    assert low_end - 64 * KIB < ranges[0][1] < low_end
    assert ranges[1:] == ([(HIGH_RAM_BASE, 5 * GIB)] if size > LOW_RAM_END else [])


@pytest.mark.needs("long_mode")
@pytest.mark.parametrize("missing", [False, True], ids=["twice", "missing"])
def test_memory_walker_finds_a_wrong_page(missing: bool) -> None:
    """The page at `wrong` is not there, or is the one behind it once more."""
    wrong = 5 * MIB
    with Machine(8 * MIB) as machine:
        load(machine, GUESTS["memory_walker"])
        host = ctypes.addressof(ctypes.c_char.from_buffer(machine.memory.regions[0].view))
        behind = wrong + PAGE_SIZE
        machine.vm.delete_memory_slot(0)
        machine.vm.set_memory_slot(0, 0, wrong, host)
        machine.vm.set_memory_slot(1, behind, 8 * MIB - behind, host + behind)
        if not missing:
            machine.vm.set_memory_slot(2, wrong, PAGE_SIZE, host + behind)
        assert machine.run(timeout=10) == Stop(StopReason.DEBUG_EXIT, 1)
        holds = 0xFFFF_FFFF_FFFF_FFFF if missing else behind
        assert machine.output.endswith(f"Wrong: {wrong:016X} holds {holds:016X}\nFAIL\n".encode())
