"""What an image says of itself: the marks of formats that are more than flat bytes."""

from __future__ import annotations

ELF_MAGIC = b"\x7fELF"

_MULTIBOOT_MAGIC = 0x1BADB002
MULTIBOOT_SEARCHED = 8192
_MULTIBOOT2_MAGIC = 0xE85250D6
_MULTIBOOT2_SEARCHED = 32768
_LINUX_BOOT_FLAG_AT, _LINUX_BOOT_FLAG = 0x1FE, b"\x55\xaa"
_LINUX_HEADER_AT, _LINUX_HEADER = 0x202, b"HdrS"


def find_multiboot(image: bytes) -> int | None:
    """Where the Multiboot header is in the file; None if it has none.

    Source: Multiboot Specification 0.6.96, 3.1: within the first 8192 bytes, at a multiple of 4;
    3.1.2: the sum of magic, flags and checksum is 0.
    """
    return _find_header(image[:MULTIBOOT_SEARCHED], _MULTIBOOT_MAGIC, words=3, align=4)


def find_multiboot2(image: bytes) -> int | None:
    """The same for a Multiboot2 header (Multiboot2 Specification, 3.1 and 3.1.2)."""
    return _find_header(image[:_MULTIBOOT2_SEARCHED], _MULTIBOOT2_MAGIC, words=4, align=8)


def _find_header(start: bytes, magic: int, *, words: int, align: int) -> int | None:
    wanted = magic.to_bytes(4, "little")
    at = start.find(wanted)
    while at >= 0:
        header = start[at : at + 4 * words]
        if at % align == 0 and len(header) == 4 * words:
            total = sum(int.from_bytes(header[i : i + 4], "little") for i in range(0, 4 * words, 4))
            if total & 0xFFFF_FFFF == 0:
                return at
        at = start.find(wanted, at + 1)
    return None


def has_linux_header(image: bytes) -> bool:
    """Whether it has a setup header of the Linux/x86 boot protocol ("boot_flag", "header")."""
    return image.startswith(_LINUX_BOOT_FLAG, _LINUX_BOOT_FLAG_AT) and image.startswith(
        _LINUX_HEADER, _LINUX_HEADER_AT
    )


def is_kernel(image: bytes) -> bool:
    """Whether it says itself by which protocol it is booted; anything else is a flat image."""
    return is_elf(image) or has_linux_header(image) or find_multiboot(image) is not None


def is_elf(image: bytes) -> bool:
    """Whether it is an ELF file."""
    return image.startswith(ELF_MAGIC)
