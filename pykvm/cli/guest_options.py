"""Options that say what is run, on which machine: those of every command that runs a guest."""

from __future__ import annotations

from pykvm.accelerators import NAMES
from pykvm.cli import parser
from pykvm.cpu.model import HOST
from pykvm.layout import DEFAULT_RAM
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import Mode

if TYPE_CHECKING:
    import argparse

    from pykvm.cli.fw_cfg import FwCfgOption
    from pykvm.cli.start import DriveFile
    from pykvm.cpu.model import CpuModel


def add_guest_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the image and its machine."""
    to.add_argument(
        "image",
        metavar="IMAGE",
        nargs="?",
        help="an image file, or a bundled guest's name; none is needed with --drive or --bios "
        "seabios",
    )
    to.add_argument(
        "-m",
        "--memory",
        type=parser.size,
        metavar="SIZE",
        help=f"RAM: 64K, 16M, 1G, ... (default {DEFAULT_RAM >> 20}M)",
    )
    to.add_argument(
        "--mode",
        choices=("auto", *(mode.value for mode in Mode)),
        default="auto",
        metavar="MODE",
        help="how to enter the image: auto (default), real, protected or long; for a flat image "
        "auto is protected for NAME.bin32, long for NAME.bin64, else real; kernels say it "
        "themselves, and Linux may be entered in long mode, too",
    )
    to.add_argument(
        "--load-addr",
        type=parser.address,
        metavar="ADDR",
        help="where to load a flat image (default 0x1000)",
    )
    to.add_argument(
        "--entry",
        type=parser.address,
        metavar="ADDR",
        help="where to enter (default: where the image says or begins)",
    )
    to.add_argument(
        "--append",
        metavar="TEXT",
        help="the kernel's command line",
    )
    to.add_argument(
        "--initrd",
        metavar="FILE",
        help="a Linux kernel's initial RAM disk; for others, the first module",
    )
    to.add_argument(
        "--module",
        action="append",
        type=parser.module,
        metavar="FILE[,CMDLINE]",
        help="a file to load beside the kernel, and the string it gets with it (default: FILE); "
        "may be given again; write ,, for a comma in FILE",
    )
    to.add_argument(
        "--bios",
        metavar="BIOS",
        help="mini, pykvm's own (default for boot sectors and with --drive); none, to enter the "
        "image directly (default otherwise); seabios, as the distribution has it; or a firmware "
        "image's FILE",
    )
    to.add_argument(
        "--drive",
        action="append",
        type=_drive,
        default=[],
        metavar="FILE",
        help="FILE or FILE,readonly: a disk image for --bios mini; may be given again; the first "
        "disk, IMAGE if there is one, is booted from, as a floppy if it has the size of one",
    )
    to.set_defaults(kvm_only=None)
    to.add_argument(
        "--accel",
        choices=NAMES,
        default="auto",
        metavar="NAME",
        help="who plays the machine: kvm; emu, an emulator, slower by far, with one processor and "
        "no APICs; or auto (default): kvm where /dev/kvm can be used, else emu",
    )
    to.add_argument(
        "--irqchip",
        choices=("kernel", "split", "user", "none"),
        metavar="WHERE",
        help="interrupt controllers: kernel (KVM's default; PICs, IOAPIC, APICs and PIT in KVM), "
        "split (APICs in KVM, an IOAPIC of pykvm's), user (the emulator's default; PICs and PIT of "
        "pykvm's) or none (any HLT is the end)",
    )
    to.add_argument(
        "--smp",
        type=parser.count,
        metavar="N",
        help="how many processors (default 1); more need --irqchip kernel or split",
    )
    to.add_argument(
        "--cpu",
        type=_cpu,
        default=HOST,
        metavar="MODEL",
        help="host (default), or host,+FEATURE,-FEATURE,... by the names of /proc/cpuinfo: what "
        "the processors are",
    )
    to.add_argument(
        "--timeout",
        type=parser.seconds,
        metavar="SECONDS",
        help="stop the guest after that time, restarts included",
    )
    to.add_argument(
        "--strict", action="store_true", help="an access that no device answers is a crash"
    )
    to.add_argument(
        "--fw-cfg",
        type=_fw_cfg,
        action="append",
        default=[],
        metavar="FILE",
        help="name=NAME,string=TEXT or name=NAME,file=PATH: a file for the guest to read through "
        "fw_cfg; NAME begins with opt/; may be repeated",
    )
    to.add_argument(
        "--testdev",
        action="store_true",
        help="attach the device that test kernels for KVM look for, as QEMU's pc-testdev",
    )


def _drive(text: str) -> DriveFile:
    from pykvm.cli.start import parse_drive

    return parse_drive(text)


def _fw_cfg(text: str) -> FwCfgOption:
    from pykvm.cli.fw_cfg import parse

    return parse(text)


def _cpu(text: str) -> CpuModel:
    from argparse import ArgumentTypeError

    from pykvm.cpu.model import parse_cpu
    from pykvm.errors import CpuModelError

    try:
        return parse_cpu(text)
    except CpuModelError as error:
        raise ArgumentTypeError(str(error)) from None
