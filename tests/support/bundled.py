"""The bundled guests, each run through the machine as `guests/manifest.toml` says."""

from __future__ import annotations

import re

from pykvm import Device, GuestCrash, Machine
from pykvm.cpu.stop import EXIT_CRASH
from pykvm.devices import BufferSink
from pykvm.layout import DEFAULT_RAM
from pykvm.manifest import Guest

SCRATCH_ADDRESS = 0xE000_0000
SCRATCH_SIZE = 64


class ScratchMmio(Device):
    """Registers that keep what is written to them."""

    name = "scratch registers"
    width = 8

    def __init__(self) -> None:
        self._content = bytearray(SCRATCH_SIZE)

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self._content[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        self._content[offset : offset + size] = value.to_bytes(size, "little")


class Watcher(BufferSink):
    """Keeps a guest's output, and presses its machine's power button when told to."""

    def __init__(self, press_after: bytes | None) -> None:
        super().__init__()
        self.machine: Machine | None = None
        self._press_after = press_after

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.data == self._press_after and self.machine is not None:
            self.machine.press_power_button()


def load(machine: Machine, guest: Guest) -> None:
    """Put a bundled guest into its machine."""
    machine.load(
        guest.path,
        mode=guest.mode,
        load_address=guest.load_address,
        cmdline=guest.cmdline,
        modules=[file.read(machine.memory.size) for file in guest.modules],
    )


def run_as_the_manifest_says(guest: Guest, irqchip: str, accel: str = "kvm") -> None:
    """Run a guest, and see it end as it should."""
    teletype = BufferSink()
    serial = Watcher(guest.power_button)
    with Machine(
        guest.memory or DEFAULT_RAM,
        strict=True,
        irqchip=irqchip,
        smp=guest.smp,
        serial=serial,
        accel=accel,
        teletype=teletype,
    ) as machine:
        serial.machine = machine
        for device in guest.attach:
            assert device == "scratch-mmio"
            machine.mmio.attach(SCRATCH_ADDRESS, SCRATCH_SIZE, ScratchMmio())
        load(machine, guest)
        assert machine.send(guest.input) == len(guest.input)
        assert (machine.bios is not None) == guest.path.read_bytes().startswith(b"\x55\xaa", 510)
        if machine.bios is not None:
            assert machine.bios.keyboard.type(guest.keys) == 0
        try:
            status = machine.run(timeout=guest.timeout).status
        except GuestCrash:
            status = EXIT_CRASH
        output = machine.output
        serial.machine = None
    if guest.output_regex is None:
        assert output == guest.output
    else:
        assert re.fullmatch(guest.output_regex, output)
    assert guest.teletype in (None, teletype.data)
    assert status == guest.status
