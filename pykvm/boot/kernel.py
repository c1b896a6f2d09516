"""Kernels: images that say themselves by which protocol they are booted."""

from __future__ import annotations

from pykvm.boot.kinds import find_multiboot, find_multiboot2, has_linux_header
from pykvm.boot.request import Request
from pykvm.boot.state import BootState
from pykvm.errors import ImageError
from pykvm.x86 import Mode


def boot_kernel(
    image: bytes, request: Request, mode: Mode | None, load_address: int | None
) -> BootState:
    """A Multiboot image, a Linux bzImage or an ELF file, in this order of preference.

    Args:
        image: the file's bytes; it is one of those.
        request: what it is given.
        mode: how to enter it; None for what the image itself says.
        load_address: must be None: such an image says where it is loaded.

    Raises:
        ImageError: it is malformed, contradicts the arguments, or does not fit into RAM.
    """
    header = find_multiboot(image)
    if header is not None:
        from pykvm.boot.multiboot import boot_multiboot

        _check_arguments("Multiboot", mode, load_address, Mode.PROTECTED)
        return boot_multiboot(image, header, request)
    if has_linux_header(image):
        from pykvm.boot.linux import boot_bzimage

        _check_arguments("Linux", mode, load_address, Mode.PROTECTED, Mode.LONG)
        return boot_bzimage(image, request, mode or Mode.PROTECTED)
    return _boot_executable(image, request, mode, load_address)


def _boot_executable(
    image: bytes, request: Request, mode: Mode | None, load_address: int | None
) -> BootState:
    from pykvm.boot.elf import boot_elf, elf_mode, read_elf
    from pykvm.boot.pvh import boot_pvh, find_phys32_entry
    from pykvm.boot.vmlinux import boot_vmlinux, is_vmlinux

    own = elf_mode(image)
    if load_address is not None:
        raise ImageError("ELF: it says itself where it is loaded: no load address, please")
    if mode not in (None, own, Mode.PROTECTED):
        raise _wrong_mode(own, mode)
    elf = read_elf(image)
    linux = is_vmlinux(image)
    pvh = find_phys32_entry(image, elf)
    if pvh is not None and mode in (None, Mode.PROTECTED):
        return boot_pvh(image, elf, request.with_one_initrd() if linux else request, pvh)
    if mode not in (None, own):
        raise _wrong_mode(own, mode)
    if linux:
        return boot_vmlinux(image, elf, request)
    if mode is None and find_multiboot2(image) is not None:
        raise ImageError(
            "ELF: it has a Multiboot2 header, but neither a Multiboot one nor a PVH note, which "
            f"pykvm knows (--mode {own.value}: enter it as a plain executable)"
        )
    request.refuse_extras("ELF", "it has neither a Multiboot header nor a PVH note")
    return boot_elf(image, elf, request)


def _wrong_mode(own: Mode, mode: Mode | None) -> ImageError:
    told = "" if mode is None else mode.value
    return ImageError(f"ELF: its class asks for {own.value} mode, not {told} mode")


def _check_arguments(kind: str, mode: Mode | None, load_address: int | None, *modes: Mode) -> None:
    if mode is not None and mode not in modes:
        known = " or ".join(m.value for m in modes)
        raise ImageError(f"{kind}: such a kernel is entered in {known} mode, not {mode.value} mode")
    if load_address is not None:
        raise ImageError(f"{kind}: it says itself where it is loaded: no load address, please")
