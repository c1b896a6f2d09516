"""A machine's devices, as library users attach and read them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pykvm import Device, GuestCrash, Machine, Mode, Stop, StopReason
from pykvm.devices.sinks import NullSink
from pykvm.errors import SinkError
from pykvm.kvm import ioctl
from pykvm.layout import I8042_COMMAND, PORT92
from pykvm.memory import Gpa
from tests.support.small_guests import OUT_30_THEN_HALT, SPIN, Recorder, stop_when


def test_a_device_is_one_class_and_one_attach() -> None:
    code = bytes.fromhex(
        "e5 32"  # in ax, 0x32
        "e7 34"  # out 0x34, ax
        "f4"  # hlt
    )
    with Machine() as machine:
        device = Recorder(answer=0xBEEF)
        machine.ports.attach(0x30, 8, device)
        machine.load(code)
        machine.run(timeout=10)
    assert device.seen == [("read", 2, 2, 0), ("write", 4, 2, 0xBEEF)]


@pytest.mark.parametrize(
    ("code", "stop"),
    [
        (
            "ba 04 06"  # mov dx, 0x604
            "b8 00 20"  # mov ax, 0x2000
            "ef"  # out dx, ax
            "f4",  # hlt
            Stop(StopReason.POWER_OFF),
        ),
        (
            "ba f9 0c"  # mov dx, 0xcf9
            "b0 06"  # mov al, 6
            "ee"  # out dx, al
            "f4",  # hlt
            Stop(StopReason.RESET, detail="the reset control register"),
        ),
    ],
)
def test_a_guest_switches_off_or_resets(code: str, stop: Stop) -> None:
    with Machine() as machine:
        machine.load(bytes.fromhex(code))
        assert machine.run(timeout=10) == stop


def test_string_input_reaches_the_device_element_by_element() -> None:
    code = bytes.fromhex(
        "ba 30 00"  # mov dx, 0x30
        "bf 00 20"  # mov di, 0x2000
        "b9 05 00"  # mov cx, 5
        "f3 6d"  # rep insw
        "f4"  # hlt
    )

    class Counter(Device):
        width = 2
        count = 0x100

        def read(self, offset: int, size: int) -> int:
            self.count += 1
            return self.count

    with Machine() as machine:
        machine.ports.attach(0x30, 2, Counter())
        machine.load(code)
        machine.run(timeout=10)
        assert machine.memory.read(Gpa(0x2000), 12) == bytes.fromhex("0101020103010401050100 00")


def test_mmio_of_eight_bytes_in_long_mode() -> None:
    code = bytes.fromhex(
        "bf 00 00 00 e0"  # mov edi, 0xe0000000
        "48 8b 07"  # mov rax, [rdi]
        "48 89 47 08"  # mov [rdi + 8], rax
        "f4"  # hlt
    )
    with Machine() as machine:
        device = Recorder(answer=0x1122334455667788)
        machine.mmio.attach(0xE000_0000, 16, device)
        machine.load(code, mode=Mode.LONG)
        assert machine.run(timeout=10).reason is StopReason.HALTED
    assert device.seen == [("read", 0, 8, 0), ("write", 8, 8, 0x1122334455667788)]


def test_debug_exit_carries_its_value() -> None:
    code = bytes.fromhex(
        "b8 2a 00"  # mov ax, 42
        "e7 f4"  # out 0xf4, ax
    )
    with Machine() as machine:
        machine.load(code + SPIN)
        stop = machine.run(timeout=10)
    assert stop == Stop(StopReason.DEBUG_EXIT, 42)
    assert stop.status == 85


def test_unclaimed_accesses_float_high_and_are_counted() -> None:
    code = bytes.fromhex(
        "e5 50"  # in ax, 0x50
        "e7 50"  # out 0x50, ax
        "f4"  # hlt
    )
    with Machine() as machine:
        machine.load(code)
        machine.run(timeout=10)
        assert machine.cpus[0].vcpu.get_regs().rax & 0xFFFF == 0xFFFF
        unclaimed = [(u.bus, u.address, u.is_write, u.count) for u in machine.stats().unclaimed]
    assert unclaimed == [("port", 0x50, False, 1), ("port", 0x50, True, 1)]


def test_strict_makes_an_unclaimed_access_a_crash_that_names_it() -> None:
    with Machine(strict=True) as machine:
        machine.load(OUT_30_THEN_HALT)
        with pytest.raises(GuestCrash, match="1-byte write to port 0x30") as crash:
            machine.run(timeout=10)
    assert crash.value.cpu is not None
    assert crash.value.cpu.mode is Mode.REAL


def test_serial_input_reaches_the_guest_and_its_echo_comes_back() -> None:
    code = bytes.fromhex(
        "ba f8 03"  # mov dx, 0x3f8
        "b9 03 00"  # mov cx, 3
        "ec"  # in al, dx
        "40"  # inc ax
        "ee"  # out dx, al
        "e2 fb"  # loop back to the in
        "f4"  # hlt
    )
    with Machine() as machine:
        machine.load(code)
        assert machine.send(b"HAL") == 3
        machine.run(timeout=10)
        assert machine.output == b"IBM"


def test_output_before_a_stop_is_all_there() -> None:
    """Posted writes are delivered whatever ends the run."""
    code = bytes.fromhex(
        "ba f8 03"  # mov dx, 0x3f8
        "b0 78"  # mov al, 'x'
        "b9 64 00"  # mov cx, 100
        "ee"  # out dx, al
        "e2 fd"  # loop back to it
    )
    with Machine() as machine:
        machine.load(code + SPIN)
        machine.run(timeout=0.3)
        assert machine.output == b"x" * 100


def test_both_debug_consoles_are_one() -> None:
    code = bytes.fromhex(
        "b0 41"  # mov al, 'A'
        "e6 e9"  # out 0xe9, al
        "40"  # inc ax
        "ba 02 04"  # mov dx, 0x402
        "ee"  # out dx, al
        "f4"  # hlt
    )
    with Machine("64K") as machine:
        machine.load(code)
        machine.run(timeout=10)
        assert machine.debug_output == b"AB"


def test_the_a20_gate_is_one_whichever_port_works_it() -> None:
    with Machine("64K") as machine:
        machine.ports.write(PORT92, 1, 0)
        assert not machine.board.keyboard.a20
        machine.ports.write(I8042_COMMAND, 1, 0xDF)  # the keyboard controller's "open A20"
        assert machine.ports.read(PORT92, 1) == 0b10


def test_what_intel_processors_need_is_there_before_the_vcpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = []
    real = ioctl.call

    def note(fd: int, name: str, argument: Any = 0) -> int:
        names.append(name)
        return real(fd, name, argument)

    monkeypatch.setattr(ioctl, "call", note)
    Machine("64K").close()
    before = names[: names.index("KVM_CREATE_VCPU")]
    assert {"KVM_SET_TSS_ADDR", "KVM_SET_IDENTITY_MAP_ADDR"} <= set(before)


def test_posted_writes_come_before_the_access_that_followed_them() -> None:
    order = []

    class Told(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            order.append(value)

    class Shown:
        def write(self, data: bytes) -> None:
            order.extend(data)

    code = bytes.fromhex(
        "b0 01"  # mov al, 1
        "e6 e9"  # out 0xe9, al
        "40"  # inc ax
        "e6 30"  # out 0x30, al
        "40"  # inc ax
        "e6 e9"  # out 0xe9, al
        "f4"  # hlt
    )
    with Machine("64K", debug=Shown()) as machine:
        machine.ports.attach(0x30, 1, Told())
        machine.load(code)
        machine.run(timeout=10)
    assert order == [1, 2, 3]


def test_posted_output_shows_while_the_guest_still_runs() -> None:
    shown = threading.Event()

    class Shown:
        def write(self, data: bytes) -> None:
            shown.set()

    code = bytes.fromhex(
        "b0 78"  # mov al, 'x'
        "e6 e9"  # out 0xe9, al
    )
    with Machine(debug=Shown()) as machine:
        machine.load(code + SPIN)
        thread = threading.Thread(target=stop_when, args=(shown, machine))
        thread.start()
        assert machine.run(timeout=60).reason is StopReason.STOPPED
        thread.join()


def test_lost_output_ends_the_run() -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise SinkError("the disk is full")

    code = bytes.fromhex(
        "b0 78"  # mov al, 'x'
        "e6 e9"  # out 0xe9, al
        "f4"  # hlt
    )
    with Machine(debug=Full()) as machine:
        machine.load(code)
        with pytest.raises(SinkError):
            machine.run(timeout=10)


def test_output_belongs_to_the_callers_sink() -> None:
    with Machine(serial=NullSink()) as machine, pytest.raises(TypeError, match="COM1"):
        _ = machine.output
