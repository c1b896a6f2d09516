"""The board: which device sits at which port, on which interrupt line, wired to what."""

from __future__ import annotations

from pykvm import layout
from pykvm.boot.e820 import map_for_firmware
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.a20 import A20Gate
from pykvm.devices.acpi_pm import LENGTH, AcpiPm
from pykvm.devices.byte_overlay import ByteOverlay
from pykvm.devices.cmos import Cmos
from pykvm.devices.debug_exit import DebugExit
from pykvm.devices.debugcon import Debugcon
from pykvm.devices.fw_cfg import DMA_LENGTH, PORTS_LENGTH, DmaMemory, FwCfg
from pykvm.devices.fw_cfg_items import IRQ0_OVERRIDE, e820_file
from pykvm.devices.i8042 import I8042
from pykvm.devices.pci_config import PciConfig
from pykvm.devices.port92 import Port92
from pykvm.devices.post import Post
from pykvm.devices.reset_control import ResetControl
from pykvm.devices.uart16550 import Uart16550
from pykvm.irq import IrqLine
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.bus import Bus
    from pykvm.devices.sinks import Sink
    from pykvm.memory import Gpa


class Board(NamedTuple):
    """The devices of a PC that pykvm plays."""

    serial: Uart16550
    debugcon: Debugcon
    debug_exit: DebugExit
    post: Post
    cmos: Cmos
    keyboard: I8042
    port92: Port92
    pci: PciConfig
    reset_control: ResetControl
    power: AcpiPm
    fw_cfg: FwCfg

    def poll(self) -> None:
        """Have those devices look at the clock that may interrupt by it."""
        self.cmos.poll()
        self.power.poll()


def build_board(
    ports: Bus,
    *,
    ram: int,
    cpus: int,
    memory: DmaMemory,
    serial: Sink,
    debug: Sink,
    line: Callable[[int], IrqLine],
    stop: Callable[[Stop], None],
) -> Board:
    """Make the devices and attach them to the port bus.

    Args:
        ports: the port bus.
        ram, cpus: bytes of RAM and processors, for the CMOS and fw_cfg to tell.
        memory: the RAM itself, for DMA.
        serial: where COM1 sends.
        debug: where the debug consoles send.
        line: gives the interrupt line of an ISA interrupt number.
        stop: called when the guest asks for the machine's end.
    """

    def reset_by(what: str) -> Callable[[], None]:
        return lambda: stop(Stop(StopReason.RESET, detail=what))

    low = min(ram, layout.LOW_RAM_END)
    a20 = A20Gate()
    board = Board(
        serial=Uart16550(line(layout.COM1_IRQ), serial),
        debugcon=Debugcon(debug),
        debug_exit=DebugExit(lambda value: stop(Stop(StopReason.DEBUG_EXIT, value))),
        post=Post(),
        cmos=Cmos(line(layout.CMOS_IRQ), ram_below_4g=low, ram_above_4g=ram - low),
        keyboard=I8042(
            line(layout.KEYBOARD_IRQ),
            line(layout.MOUSE_IRQ),
            a20=a20,
            on_reset=reset_by("the keyboard controller"),
        ),
        port92=Port92(a20=a20, on_reset=reset_by("port 0x92")),
        pci=PciConfig(),
        reset_control=ResetControl(on_reset=reset_by("the reset control register")),
        power=AcpiPm(line(layout.SCI_IRQ), on_power_off=lambda: stop(Stop(StopReason.POWER_OFF))),
        fw_cfg=FwCfg(memory, ram=ram, cpus=cpus),
    )
    board.fw_cfg.add_item(IRQ0_OVERRIDE, (1).to_bytes(4, "little"))
    board.fw_cfg.add_file("etc/e820", e820_file(map_for_firmware(ram)))
    ports.attach(layout.COM1, 8, board.serial)
    ports.attach(layout.DEBUGCON, 1, board.debugcon)
    ports.attach(layout.DEBUGCON_BIOS, 1, board.debugcon)
    ports.attach(layout.DEBUG_EXIT, 4, board.debug_exit)
    ports.attach(layout.POST, 1, board.post)
    ports.attach(layout.CMOS, 2, board.cmos)
    ports.attach(layout.I8042_DATA, 1, board.keyboard.data)
    ports.attach(layout.I8042_COMMAND, 1, board.keyboard.command)
    ports.attach(layout.PORT92, 1, board.port92)
    ports.attach(
        layout.PCI_CONFIG,
        8,
        ByteOverlay(board.pci, {layout.RESET_CONTROL - layout.PCI_CONFIG: board.reset_control}),
    )
    ports.attach(layout.ACPI_PM, LENGTH, board.power)
    ports.attach(layout.FW_CFG, PORTS_LENGTH, board.fw_cfg.ports)
    ports.attach(layout.FW_CFG_DMA, DMA_LENGTH, board.fw_cfg.dma)
    return board


def attach_testdev(
    ports: Bus,
    mmio: Bus,
    *,
    line: Callable[[int], IrqLine],
    flush: Callable[[Gpa], None],
) -> None:
    """Attach the test device, which test kernels for KVM look for; see `pykvm.devices.testdev`.

    Args:
        ports, mmio: the buses.
        line: gives the interrupt line of a number, 0 to 23.
        flush: has the host forget its mapping of the page at a guest-physical address.
    """
    from pykvm.devices import testdev

    ports.attach(layout.TESTDEV_SCRATCH, testdev.SCRATCH_LENGTH, testdev.ScratchPort())
    ports.attach(layout.TESTDEV_FLUSH, testdev.FLUSH_LENGTH, testdev.PageFlush(flush))
    ports.attach(layout.TESTDEV_LINES, testdev.LINES, testdev.LinePorts(line))
    mmio.attach(layout.TESTDEV_MEMORY, testdev.MEMORY_LENGTH, testdev.ScratchMemory())
