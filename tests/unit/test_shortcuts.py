"""How a device's hints reach the accelerator: its own offsets become addresses."""

from __future__ import annotations

import pytest

from pykvm.bus import PORT_SPACE, Bus, Device, Shortcuts
from pykvm.errors import BusError


class Recorder:
    """An accelerator that remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int, bool | int | None]] = []

    def post_writes(self, address: int, size: int, on: bool) -> None:
        self.calls.append(("post", address, size, on))

    def answer_reads(self, address: int, size: int, value: int | None) -> None:
        self.calls.append(("answer", address, size, value))


class Hinter(Device):
    """Posts and answers as soon as it is attached."""

    def connect(self, shortcuts: Shortcuts) -> None:
        shortcuts.post(1)
        shortcuts.post(2, 4, on=False)
        shortcuts.answer(5, 0x60)
        shortcuts.answer(5, None, size=2)


def test_offsets_become_addresses() -> None:
    recorder = Recorder()
    bus = Bus("port", PORT_SPACE, accelerator=recorder)
    bus.attach(0x3F8, 8, Hinter())
    assert recorder.calls == [
        ("post", 0x3F9, 1, True),
        ("post", 0x3FA, 4, False),
        ("answer", 0x3FD, 1, 0x60),
        ("answer", 0x3FD, 2, None),
    ]


def test_each_attachment_has_shortcuts_of_its_own_base() -> None:
    recorder = Recorder()
    bus = Bus("port", PORT_SPACE, accelerator=recorder)
    device = Hinter()
    bus.attach(0x3F8, 8, device)
    bus.attach(0x2F8, 8, device)
    assert [call[1] for call in recorder.calls if call[0] == "post"] == [0x3F9, 0x3FA, 0x2F9, 0x2FA]


def test_a_refused_device_gives_no_hints() -> None:
    recorder = Recorder()
    bus = Bus("port", PORT_SPACE, accelerator=recorder)
    bus.attach(0x3F8, 8, Device())
    with pytest.raises(BusError):
        bus.attach(0x3FF, 8, Hinter())
    assert recorder.calls == []


def test_without_an_accelerator_hints_do_nothing() -> None:
    bus = Bus("port", PORT_SPACE)
    bus.attach(0x3F8, 8, Hinter())
    assert len(bus.attachments) == 1
