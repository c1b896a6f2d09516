"""ACPI's differentiated description: what the machine is made of, in AML.

Only what a kernel cannot find by itself or asks for here: the value that switches off, the
processors, and the ISA devices, which kernels look for by their Plug and Play identifiers.
"""

from __future__ import annotations

from pykvm import layout
from pykvm.boot import aml
from pykvm.boot.acpi_header import system_table
from pykvm.boot.platform import Platform
from pykvm.devices.acpi_pm import S5_SLEEP_TYPE

REVISION = 2
"""Integers have 64 bits."""

MAX_CPUS = 4096
"""Processors are named C000 to CFFF."""

PROCESSOR = "ACPI0007"
SERIAL_PORT = "PNP0501"  # 16550A-compatible
CLOCK = "PNP0B00"  # AT real-time clock
KEYBOARD = "PNP0303"  # IBM enhanced, 101/102 keys, at an 8042


def dsdt(platform: Platform) -> bytes:
    """The table of a machine with at most `MAX_CPUS` processors, whose UIDs count from 0 as in the
    MADT.

    Source: ACPI 6.0, 5.2.11.1; 7.4.2 for _S5; 8.4 for the processors.
    """
    return system_table(b"DSDT", REVISION, _sleep_states() + _system_bus(platform))


def _sleep_states() -> bytes:
    """\\_S5: the sleep type for PM1a, that for PM1b, and two reserved integers."""
    values = (aml.integer(value) for value in (S5_SLEEP_TYPE, 0, 0, 0))
    return aml.name("\\_S5_", aml.package(*values))


def _system_bus(platform: Platform) -> bytes:
    devices = (
        ("COM1", SERIAL_PORT, [(layout.COM1, 8)], layout.COM1_IRQ),
        ("RTC_", CLOCK, [(layout.CMOS, 2)], layout.CMOS_IRQ),
        (
            "KBD_",
            KEYBOARD,
            [(layout.I8042_DATA, 1), (layout.I8042_COMMAND, 1)],
            layout.KEYBOARD_IRQ,
        ),
    )
    has_interrupts = platform.has_interrupts
    return aml.scope(
        "\\_SB_",
        *(_processor(cpu) for cpu in range(platform.cpus)),
        *(
            _isa_device(path, identifier, ports, irq if has_interrupts else None)
            for path, identifier, ports, irq in devices
        ),
    )


def _processor(cpu: int) -> bytes:
    return aml.device(
        f"C{cpu:03X}",
        aml.name("_HID", aml.string(PROCESSOR)),
        aml.name("_UID", aml.integer(cpu)),
    )


def _isa_device(path: str, identifier: str, ports: list[tuple[int, int]], irq: int | None) -> bytes:
    interrupts = [] if irq is None else [aml.irq(irq)]
    return aml.device(
        path,
        aml.name("_HID", aml.integer(aml.eisa_id(identifier))),
        aml.name("_UID", aml.integer(1)),
        aml.name(
            "_CRS",
            aml.resource_template(
                *(aml.io_ports(base, count) for base, count in ports), *interrupts
            ),
        ),
    )
