"""The machine as library users meet it."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import ClassVar

import pytest

from pykvm import Device, GuestCrash, Machine, Mode, Stop, StopReason
from pykvm.cpu.causes import RESET_VECTOR
from pykvm.errors import GuestMemoryError, ImageError
from pykvm.kvm.system import System
from pykvm.memory import Gpa, host_memory
from tests.support.small_guests import OUT_30_THEN_HALT, SPIN, Recorder, stop_when

HLT = b"\xf4"
OUT_FOREVER = bytes.fromhex(
    "e6 30"  # out 0x30, al
    "eb fc"  # jmp back to it
)
UNDEFINED_OPCODE = bytes.fromhex(
    "0f 0b"  # ud2
)


def test_a_halt_stops_it() -> None:
    with Machine() as machine:
        machine.load(HLT)
        assert machine.run(timeout=10) == Stop(StopReason.HALTED)


def test_without_controllers_it_goes_on_behind_the_halt_when_run_again() -> None:
    with Machine(irqchip="none") as machine:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(HLT + OUT_30_THEN_HALT)
        machine.run(timeout=10)
        assert device.seen == []
        machine.run(timeout=10)
        assert device.seen == [("write", 0, 1, 7)]


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode_is_entered(mode: Mode) -> None:
    with Machine("64K") as machine:
        machine.load(OUT_30_THEN_HALT, mode=mode)
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.cpus[0].snapshot().mode is mode


@pytest.mark.parametrize("code", [SPIN, OUT_FOREVER], ids=["no exits", "many exits"])
def test_the_timeout_ends_a_runaway_guest_which_can_go_on(code: bytes) -> None:
    with Machine() as machine:
        machine.load(code)
        assert machine.run(timeout=0.02).reason is StopReason.TIMEOUT
        assert machine.run(timeout=0.001).reason is StopReason.TIMEOUT


def test_a_timeout_already_over_still_returns() -> None:
    with Machine() as machine:
        machine.load(SPIN)
        assert machine.run(timeout=0).reason is StopReason.TIMEOUT


def test_the_budget_ends_it() -> None:
    with Machine() as machine:
        machine.load(OUT_FOREVER)
        assert machine.run(timeout=10, max_exits=7).reason is StopReason.BUDGET
        assert machine.stats().exits == {"KVM_EXIT_IO": 7}


@pytest.mark.parametrize("code", [SPIN, OUT_FOREVER], ids=["no exits", "many exits"])
def test_another_thread_can_stop_it(code: bytes) -> None:
    with Machine() as machine:
        machine.load(code)
        running = threading.Event()

        class Started(Device):
            def write(self, offset: int, size: int, value: int) -> None:
                running.set()

        machine.ports.attach(0x31, 1, Started())
        machine.load(b"\xe6\x31" + code)  # out 0x31, al
        thread = threading.Thread(target=stop_when, args=(running, machine))
        thread.start()
        assert machine.run(timeout=60).reason is StopReason.STOPPED
        thread.join()


def test_a_stop_beforehand_counts_once() -> None:
    with Machine() as machine:
        machine.load(HLT)
        machine.stop()
        assert machine.run(timeout=10).reason is StopReason.STOPPED
        assert machine.run(timeout=10).reason is StopReason.HALTED


def test_it_runs_on_a_thread_that_is_not_the_main_one() -> None:
    stops = []
    with Machine() as machine:
        machine.load(SPIN)
        thread = threading.Thread(target=lambda: stops.append(machine.run(timeout=0.02)))
        thread.start()
        thread.join(60)
    assert stops == [Stop(StopReason.TIMEOUT)]


def test_a_crash_carries_what_happened_and_where() -> None:
    with Machine() as machine:
        machine.load(UNDEFINED_OPCODE, mode=Mode.PROTECTED)
        with pytest.raises(GuestCrash) as crash:
            machine.run(timeout=10)
    cpu = crash.value.cpu
    assert cpu is not None
    if cpu.linear_rip == RESET_VECTOR:
        # SVM leaves the state undefined after SHUTDOWN, and KVM resets the processor
        assert "has reset the processor" in crash.value.cause
        return
    assert "interrupt descriptor table" in crash.value.cause
    assert cpu.mode is Mode.PROTECTED
    assert cpu.code_bits == 32
    assert cpu.code.startswith(UNDEFINED_OPCODE)


def test_running_into_the_void_says_so() -> None:
    code = bytes.fromhex(
        "ea 00 00 00 50 08 00"  # jmp 0x08:0x50000000
    )
    with Machine() as machine:
        machine.load(code, mode=Mode.PROTECTED)
        with pytest.raises(GuestCrash) as crash:
            machine.run(timeout=10)
    assert "there is no RAM at 0x50000000" in crash.value.cause


@pytest.mark.parametrize("size", [0, 4096, 60 << 10, 65537])
def test_too_little_or_crooked_memory_is_refused(size: int) -> None:
    with pytest.raises(GuestMemoryError):
        Machine(size)


def test_ram_may_exceed_the_hosts_and_has_a_hole_below_4_gib() -> None:
    size = (host_memory() + (4 << 30)) & ~0xFFF
    code = bytes.fromhex(
        "48 bf 00 00 00 00 01 00 00 00"  # movabs rdi, 0x100000000
        "c7 07 78 56 34 12"  # mov dword ptr [rdi], 0x12345678
    )
    with Machine(size) as machine:
        machine.load(code + HLT, mode=Mode.LONG)
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.memory.read_uint(Gpa(4 << 30), 4) == 0x12345678
        assert machine.memory.low_end == 3 << 30
        assert machine.memory.end == size + (1 << 30)


def test_machines_are_independent() -> None:
    machines = [Machine("64K") for _ in range(8)]
    try:
        for i, machine in enumerate(machines):
            machine.load(bytes((0xB0, i, 0xE6, 0xF4)) + SPIN)  # mov al, i; out 0xf4, al
        assert [m.run(timeout=10).value for m in machines] == list(range(8))
    finally:
        for machine in machines:
            machine.close()


def test_loading_anew_clears_what_the_image_does_not_fill() -> None:
    with Machine("64K") as machine:
        machine.load(SPIN)
        machine.run(timeout=0.001)
        machine.load(OUT_30_THEN_HALT)
        assert machine.run(timeout=10).reason is StopReason.HALTED


def test_an_open_system_is_shared_and_stays_open() -> None:
    with System() as system:
        for _ in range(2):
            with Machine(system=system) as machine:
                machine.load(HLT)
                machine.run(timeout=10)
        assert system.api_version() == 12


def test_a_bad_image_leaves_the_machine_usable() -> None:
    with Machine("64K") as machine:
        with pytest.raises(ImageError, match="not inside"):
            machine.load(bytes(1 << 20))
        machine.load(HLT)
        assert machine.run(timeout=10).reason is StopReason.HALTED


def test_closing_twice_is_closing_once() -> None:
    machine = Machine()
    machine.close()
    machine.close()


def test_a_view_survives_the_machine() -> None:
    with Machine() as machine:
        machine.memory.write(Gpa(0x5000), b"still here")
        view = machine.memory.view(Gpa(0x5000), 10)
    assert bytes(view) == b"still here"
    view.release()


class TestStats:
    """What `stats=True` adds."""

    EXPECTED: ClassVar = {"KVM_EXIT_IO": 1}

    def test_times_and_ports_are_kept_when_asked_for(self) -> None:
        with Machine(stats=True) as machine:
            machine.load(OUT_30_THEN_HALT)
            machine.run(timeout=10)
            stats = machine.stats()
        assert stats.exits == self.EXPECTED
        assert stats.ports == {0x30: 1}
        assert stats.inside_ns > 0
        assert stats.outside_ns > 0
        assert stats.total_exits == 1

    def test_counts_alone_otherwise(self) -> None:
        with Machine() as machine:
            machine.load(OUT_30_THEN_HALT)
            machine.run(timeout=10)
            stats = machine.stats()
        assert stats.exits == self.EXPECTED
        assert stats.ports == {}
        assert (stats.inside_ns, stats.outside_ns) == (0, 0)


def test_nothing_is_inherited_by_children() -> None:
    """Every descriptor is close-on-exec."""
    before = set(os.listdir("/proc/self/fd"))
    with Machine():
        ours = set(os.listdir("/proc/self/fd")) - before
        flags = [fcntl.fcntl(int(fd), fcntl.F_GETFD) for fd in ours if is_open(fd)]
    assert len(flags) >= 4  # memfd, system, VM, vCPU
    assert all(f & fcntl.FD_CLOEXEC for f in flags)


def is_open(fd: str) -> bool:
    """Whether it is still there: the one that listed the others is not."""
    try:
        os.fstat(int(fd))
    except OSError:
        return False
    return True


def test_a_read_under_way_does_not_reach_into_the_next_image() -> None:
    """KVM finishes it when the processor runs again, which is after the next image is loaded."""
    with Machine("64K") as machine:

        class Stopping(Device):
            def read(self, offset: int, size: int) -> int:
                machine.stop()
                return 0x55

        machine.ports.attach(0x30, 1, Stopping())
        machine.load(b"\xe4\x30" + HLT)  # in al, 0x30; hlt
        assert machine.run(timeout=10).reason is StopReason.STOPPED
        machine.load(HLT)
        assert machine.run(timeout=10).reason is StopReason.HALTED
        regs = machine.cpus[0].vcpu.get_regs()
    assert (regs.rax, regs.rip) == (0, 0x1001)
