"""A machine on the emulator: what it does as one on KVM, and what it refuses."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pykvm import Device, GuestCrash, Machine, StopReason
from pykvm.cpu.snapshot import CpuSnapshot
from pykvm.errors import SinkError
from pykvm.kvm import exits
from pykvm.memory import Gpa
from pykvm.x86 import Mode, Rflags

pytestmark = pytest.mark.emulated

BASE = 0x1000


def code(*lines: str) -> bytes:
    return bytes.fromhex("".join(lines))


def real(machine: Machine, *lines: str) -> None:
    machine.load(code(*lines), mode=Mode.REAL)


class Noted(Device):
    """Notes accesses; reads give the offset and 0xA0."""

    name = "noted"
    width = 4

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        self.seen.append(("read", offset, size, 0))
        return 0xA0 + offset

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append(("write", offset, size, value))


class Broken(Device):
    """Fails."""

    def read(self, offset: int, size: int) -> int:
        raise SinkError("lost")

    def write(self, offset: int, size: int, value: int) -> None:
        raise SinkError("lost")


def test_port_accesses_of_all_sizes_reach_their_device() -> None:
    device = Noted()
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.ports.attach(0x200, 8, device)
        real(
            machine,
            "66 b8 44 33 22 11",  # mov eax, 0x11223344
            "ba 00 02",  # mov dx, 0x200
            "ee  ef  66 ef",  # out dx, al; ax; eax
            "ec  ed  66 ed",  # in al, dx; ax; eax
            "f4",  # hlt
        )
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.cpus[0].vcpu.get_regs().rax == 0xA0
    assert device.seen == [
        ("write", 0, 1, 0x44),
        ("write", 0, 2, 0x3344),
        ("write", 0, 4, 0x1122_3344),
        *(("read", 0, size, 0) for size in (1, 2, 4)),
    ]


def test_memory_accesses_reach_their_device() -> None:
    device = Noted()
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.mmio.attach(0xE000_0000, 16, device)
        machine.load(
            code(
                "b8 00 00 00 e0",  # mov eax, 0xe0000000
                "88 40 01",  # mov [rax+1], al
                "66 89 40 02",  # mov [rax+2], ax
                "89 40 04",  # mov [rax+4], eax
                "48 89 40 08",  # mov [rax+8], rax
                "48 8b 58 08",  # mov rbx, [rax+8]
                "f4",  # hlt
            ),
            mode=Mode.LONG,
        )
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.cpus[0].vcpu.get_regs().rbx == 0xAC_0000_00A8
    assert device.seen == [
        ("write", 1, 1, 0),
        ("write", 2, 2, 0),
        ("write", 4, 4, 0xE000_0000),
        ("write", 8, 4, 0xE000_0000),
        ("write", 12, 4, 0),
        ("read", 8, 4, 0),
        ("read", 12, 4, 0),
    ]


def test_a_stop_comes_right_behind_the_instruction_that_asked_for_it() -> None:
    with Machine("1M", accel="emu") as machine:
        real(machine, "b0 05  e6 f4  40 40 40  f4")  # mov al, 5; out 0xf4, al; inc ax...; hlt
        stop = machine.run(timeout=10)
        assert (stop.reason, stop.value) == (StopReason.DEBUG_EXIT, 5)
        assert machine.cpus[0].vcpu.get_regs().rip == BASE + 4
        assert machine.run(timeout=10).reason is StopReason.HALTED
        assert machine.cpus[0].vcpu.get_regs().rax == 8


def test_so_many_exits_and_no_more() -> None:
    with Machine("1M", accel="emu", stats=True) as machine:
        real(machine, "e4 80  40  eb fb")  # in al, 0x80; inc ax; jmp to the in
        assert machine.run(timeout=10, max_exits=3).reason is StopReason.BUDGET
        assert machine.cpus[0].vcpu.get_regs().rip == BASE + 2
        stats = machine.stats()
        assert stats.exits == {"KVM_EXIT_IO": 3}
        assert stats.ports == {0x80: 3}
        assert stats.inside_ns > 0


def test_another_thread_stops_a_guest_that_never_leaves() -> None:
    class Started(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            running.set()

    running = threading.Event()
    with Machine("1M", accel="emu") as machine:
        machine.ports.attach(0x200, 1, Started())
        real(machine, "ba 00 02  ee  eb fe")  # mov dx, 0x200; out dx, al; jmp .

        def stop() -> None:
            running.wait(60)
            machine.stop()

        thread = threading.Thread(target=stop)
        thread.start()
        assert machine.run(timeout=60).reason is StopReason.STOPPED
        thread.join()


def test_a_deadline_ends_a_guest_that_spins() -> None:
    with Machine("1M", accel="emu") as machine:
        real(machine, "eb fe")  # jmp .
        assert machine.run(timeout=0.05).reason is StopReason.TIMEOUT


def test_a_failing_device_is_raised_by_run_whatever_the_instruction() -> None:
    for lines in ("ba 00 02  ec  f4", "ba 00 02  ee  f4"):  # mov dx, 0x200; in / out; hlt
        with Machine("1M", accel="emu") as machine:
            machine.ports.attach(0x200, 1, Broken())
            real(machine, lines)
            with pytest.raises(SinkError, match="lost"):
                machine.run(timeout=10)


def test_strict_machines_crash_at_what_nobody_claims() -> None:
    for lines, access in (
        ("e4 99  f4", exits.Io(0x99, 1, 1, False, b"")),  # in al, 0x99; hlt
        ("b0 07  e6 99  f4", exits.Io(0x99, 1, 1, True, b"\7")),  # mov al, 7; out 0x99, al; hlt
    ):
        with Machine("1M", accel="emu", strict=True) as machine:
            real(machine, lines)
            with pytest.raises(GuestCrash, match="port 0x99") as caught:
                machine.run(timeout=10)
            assert caught.value.exit == access
            assert caught.value.cpu is not None


def test_a_triple_fault_is_told_as_kvm_tells_it() -> None:
    with Machine("1M", accel="emu") as machine:
        machine.load(code("b8 34 12 00 00  0f 0b"), mode=Mode.PROTECTED)  # mov eax, 0x1234; ud2
        with pytest.raises(GuestCrash, match="no interrupt descriptor table") as caught:
            machine.run(timeout=10)
    crash = caught.value
    assert isinstance(crash.exit, exits.Shutdown)
    assert isinstance(crash.cpu, CpuSnapshot)
    assert (crash.cpu.general["rip"], crash.cpu.general["rax"]) == (BASE + 5, 0x1234)
    assert crash.cpu.code.startswith(b"\x0f\x0b")


def test_interrupts_come_in_a_window_of_one_instruction() -> None:
    """A guest that turns them on for one instruction only, again and again, is interrupted."""
    with Machine("1M", accel="emu") as machine:
        real(
            machine,
            "b0 11  e6 20",  # ICW1: edge triggered, cascade, ICW4
            "b0 08  e6 21  b0 04  e6 21  b0 01  e6 21",  # ICW2 to 4: vectors from 8 on
            "b0 fe  e6 21",  # only the timer
            "b0 34  e6 43  b0 00  e6 40  b0 10  e6 40",  # every 4096 clocks
            "fb  90  fa",  # sti; nop; cli
            "eb fb",  # jmp to the sti
        )
        machine.memory.write(Gpa(8 * 4), b"\x00\x20\x00\x00")  # vector 8: 0:2000
        machine.memory.write(Gpa(0x2000), b"\xb8\x34\x12\xf4")  # mov ax, 0x1234; hlt
        assert machine.run(timeout=20).reason is StopReason.HALTED
        regs = machine.cpus[0].vcpu.get_regs()
        assert (regs.rax & 0xFFFF, regs.rip) == (0x1234, 0x2004)
        # behind the nop: never behind the sti, whose shadow it is in
        assert machine.memory.read_uint(Gpa(regs.rsp), 2) == BASE + 34


def test_code_that_a_device_puts_into_ram_is_seen() -> None:
    """Unicorn keeps what it made of code; it must hear of what it did not write itself."""

    class Patch(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            machine.memory.write(Gpa(BASE + 1), bytes([value]))

    with Machine("1M", accel="emu") as machine:
        machine.ports.attach(0x200, 1, Patch())
        real(
            machine,
            "b3 01",  # mov bl, 1: the 1 becomes 0x77
            "80 fb 77  74 08",  # cmp bl, 0x77; je to the hlt
            "b0 77  ba 00 02  ee",  # mov al, 0x77; mov dx, 0x200; out dx, al
            "eb f1",  # jmp to the beginning
            "f4",  # hlt
        )
        assert machine.run(timeout=10, max_exits=10).reason is StopReason.HALTED
        assert machine.cpus[0].vcpu.get_regs().rbx == 0x77


def test_the_next_image_begins_with_a_new_processor(tmp_path: Path) -> None:
    with Machine("1M", accel="emu") as machine:
        real(machine, "66 bb 44 33 22 11  0f 20 c0  0c 01  0f 22 c0  f4")  # ebx; CR0.PE; hlt
        assert machine.run(timeout=10).reason is StopReason.HALTED
        real(machine, "40  f4")  # inc ax; hlt
        assert machine.run(timeout=10).reason is StopReason.HALTED
        vcpu = machine.cpus[0].vcpu
        assert (vcpu.get_regs().rax, vcpu.get_regs().rbx) == (1, 0)
        assert vcpu.get_sregs().cr0 & 1 == 0


def test_cpuid_tells_of_the_emulator_and_no_apic() -> None:
    with Machine("1M", accel="emu") as machine:
        real(machine, "66 b8 01 00 00 00  0f a2  f4")  # mov eax, 1; cpuid; hlt
        machine.run(timeout=10)
        regs = machine.cpus[0].vcpu.get_regs()
        assert regs.rcx >> 31 & 1  # hypervisor
        assert not regs.rdx >> 9 & 1  # APIC
        real(machine, "66 b8 00 00 00 40  0f a2  f4")
        machine.run(timeout=10)
        regs = machine.cpus[0].vcpu.get_regs()
        words = (regs.rbx, regs.rcx, regs.rdx)
        assert b"".join(word.to_bytes(4, "little") for word in words) == b"TCGTCGTCGTCG"


def test_a_closed_machine_says_so() -> None:
    machine = Machine("1M", accel="emu")
    real(machine, "f4")
    machine.close()
    machine.close()
    machine.stop()
    with pytest.raises(ValueError, match="closed"):
        machine.run()


def test_being_looked_at_does_not_disturb_a_guest() -> None:
    """Unicorn, told to stop by another thread, may do a block's last instruction twice."""
    with Machine("1M", accel="emu") as machine:
        real(
            machine,
            "bc 00 70",  # mov sp, 0x7000
            "66 b9 40 0d 03 00",  # mov ecx, 200000
            "e8 0f 00",  # call to the ret
            "81 fc 00 70  75 06",  # cmp sp, 0x7000; jne to the end
            "66 49  75 f3",  # dec ecx; jnz to the call
            "b0 01  f4",  # mov al, 1; hlt
            "90",
            "f4",  # hlt: the end
            "c3",  # ret
        )
        over = threading.Event()

        def kick() -> None:
            while not over.is_set():
                machine.cpus[0].kick()

        thread = threading.Thread(target=kick)
        thread.start()
        try:
            assert machine.run(timeout=60).reason is StopReason.HALTED
        finally:
            over.set()
            thread.join()
        regs = machine.cpus[0].vcpu.get_regs()
        assert (regs.rax, regs.rcx, regs.rsp) == (1, 0, 0x7000)


def test_flags_that_are_set_are_what_the_guest_finds() -> None:
    flags = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.SF | Rflags.OF | Rflags.DF
    with Machine("1M", accel="emu", irqchip="none") as machine:
        real(machine, "9c  58  f4")  # pushf; pop ax; hlt
        vcpu = machine.cpus[0].vcpu
        vcpu.set_regs(replace(vcpu.get_regs(), rflags=flags))
        machine.run(timeout=10)
        assert vcpu.get_regs().rax == flags | Rflags.FIXED
        assert vcpu.get_regs().rflags == flags | Rflags.FIXED
