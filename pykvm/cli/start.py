"""What `pykvm run` starts: an image, disks through a BIOS, or a firmware image."""

from __future__ import annotations

from contextlib import ExitStack

from pykvm.errors import DiskError, ImageError, MachineError
from pykvm.layout import DEFAULT_RAM
from pykvm.named import TYPE_CHECKING, NamedTuple
from pykvm.x86 import Mode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykvm.bios import Disk
    from pykvm.boot import Module
    from pykvm.boot.module_file import ModuleFile
    from pykvm.cli.serial import SerialLine
    from pykvm.machine import Machine

READONLY = ",readonly"


class DriveFile(NamedTuple):
    """One `--drive`."""

    path: str
    readonly: bool


def parse_drive(text: str) -> DriveFile:
    """FILE or FILE,readonly."""
    return DriveFile(text.removesuffix(READONLY), text.endswith(READONLY))


def require_something(args: argparse.Namespace, prog: str = "pykvm run") -> None:
    """See that the command line names something to run.

    Args:
        args: the command line.
        prog: whose.

    Raises:
        SystemExit: it does not, which was said.
    """
    if args.image is None and not args.drive and args.bios in (None, "mini", "none"):
        from pykvm.cli.parser import make_parser

        make_parser(prog, "").error(
            "the following arguments are required: IMAGE, or --drive, or --bios seabios"
        )


def check(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself, before anything is opened.

    Raises:
        ImageError, DiskError: one line that says what.
    """
    if args.bios not in (None, "mini", "none"):
        # it knows disks by their controllers, of which there is none yet
        if args.drive:
            raise DiskError("--drive needs --bios mini: firmware finds no disk controller")
        if args.image is not None:
            raise ImageError(f"{args.image}: --bios {args.bios} runs itself and boots no image")
    if args.drive and (args.bios == "none" or (args.bios is None and _is_told(args))):
        raise DiskError("--drive needs a BIOS, and an image that is started through it")
    if args.bios not in (None, "none") and _is_told(args):
        raise ImageError(
            "--mode, --load-addr, --entry, --append, --initrd and --module are for an image that "
            "is entered directly: --bios none"
        )


def find_image(args: argparse.Namespace) -> str:
    """The image's path.  A bare name that is no file is a bundled guest's, with its own setting.

    Raises:
        ImageError: there is neither.
    """
    import os.path

    image: str = args.image
    if not image:
        raise ImageError("the image's name is empty")
    if os.path.lexists(image) or os.sep in image:
        return image
    from pykvm.manifest import find_guest

    guest = find_guest(image)
    if guest is None:
        from pykvm.cli.suggest import unknown_guest

        raise ImageError(unknown_guest(image))
    if args.mode == "auto" and guest.mode is not None:
        args.mode = guest.mode.value
    if args.memory is None:
        args.memory = guest.memory
    if args.smp is None:
        args.smp = guest.smp
    args.kvm_only = None if guest.kvm_only is None else (guest.name, guest.kvm_only)
    if args.load_addr is None:
        args.load_addr = guest.load_address
    if args.append is None:
        args.append = guest.cmdline
    if args.initrd is None and args.module is None:
        args.module = guest.modules
    return str(guest.path)


def make_machine(
    args: argparse.Namespace,
    image: str | None,
    files: Sequence[tuple[str, bytes]],
    line: SerialLine,
    *,
    stats: bool,
) -> Machine:
    """A machine as the command line says, with what it starts loaded.

    Args:
        args: the command line.
        image: the image's path; None for none.
        files: names and contents for fw_cfg.
        line: where its serial port, debug consoles and BIOS send.
        stats: as for `Machine`.

    Raises:
        PykvmError: there is no such machine, or it cannot start so.
    """
    from pykvm.machine import Machine

    machine = Machine(
        DEFAULT_RAM if args.memory is None else args.memory,
        serial=line.sink,
        debug=line.debug,
        teletype=line.teletype,
        strict=args.strict,
        testdev=args.testdev,
        stats=stats,
        irqchip=args.irqchip,
        smp=args.smp or 1,
        cpu=args.cpu,
        accel=args.accel,
    )
    try:
        _check_accelerator(args, machine)
        for name, content in files:
            machine.board.fw_cfg.add_file(name, content)
        start(args, image, machine)
    except BaseException:
        machine.close()
        raise
    return machine


def require_kvm(args: argparse.Namespace, what: str) -> None:
    """See that no emulator gets what only KVM can do.

    Raises:
        MachineError: it was asked for.
    """
    if args.accel == "emu":
        raise MachineError(f"{what} tells what KVM does, call by call: not with --accel emu")
    args.accel = "kvm"


def _check_accelerator(args: argparse.Namespace, machine: Machine) -> None:
    """Say, once, that the guest is emulated where nobody asked for it; and whether it can be."""
    accelerator = machine.accelerator
    if accelerator.name == "emu" and args.kvm_only is not None:
        name, reason = args.kvm_only
        instead = accelerator.instead_of
        way_out = ": --accel kvm" if instead is None else f"; no KVM: {instead}"
        raise MachineError(f"{name}: {reason}, which no emulated machine has{way_out}")
    if accelerator.instead_of is not None:
        from pykvm.cli.streams import complain

        complain(f"emulating the guest, slowly: {accelerator.instead_of} (see pykvm doctor)")
        args.accel = accelerator.name  # a restart has been told already


def start(args: argparse.Namespace, image: str | None, machine: Machine) -> None:
    """Have `machine` begin as the command line says.

    Args:
        args: the command line.
        image: the image's path; None for none.
        machine: it.

    Raises:
        PykvmError: it cannot.
    """
    if args.bios not in (None, "mini", "none"):
        from pykvm.boot.firmware_image import read_firmware, read_seabios

        machine.boot_firmware(
            read_seabios() if args.bios == "seabios" else read_firmware(args.bios)
        )
        return
    if args.drive or args.bios == "mini":
        machine.boot(_open_disks(args, image), own=True)
        return
    assert image is not None
    machine.load(
        image,
        mode=None if args.mode == "auto" else Mode(args.mode),
        load_address=args.load_addr,
        entry=args.entry,
        cmdline=args.append or "",
        modules=_read_modules(args, machine.memory.size),
        bios=args.bios is None,
    )


def _is_told(args: argparse.Namespace) -> bool:
    """Whether the command line says how an image is entered, or what it gets."""
    told = (args.load_addr, args.entry, args.append, args.initrd, args.module)
    return args.mode != "auto" or any(value is not None for value in told)


def _open_disks(args: argparse.Namespace, image: str | None) -> list[Disk]:
    """The image, which stays as it is, then the drives."""
    from pykvm.bios import Disk

    files: list[DriveFile] = list(args.drive)
    if image is not None:
        files.insert(0, DriveFile(image, readonly=True))
    with ExitStack() as guard:
        disks = [guard.enter_context(Disk(file.path, readonly=file.readonly)) for file in files]
        guard.pop_all()
    return disks


def _read_modules(args: argparse.Namespace, ram: int) -> list[Module]:
    files: list[ModuleFile] = list(args.module or ())
    if args.initrd is not None:
        from pykvm.boot.module_file import ModuleFile

        files.insert(0, ModuleFile(args.initrd, args.initrd))
    return [file.read(ram) for file in files]
