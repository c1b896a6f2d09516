"""bzImages, and the zero page as Linux reads it: offsets from boot.rst and zero-page.rst.

Shares no code with pykvm: every field is written by its name, and any may be overridden.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.boot_rig import GuestRam

_LAYOUT = """
    setup_sects:1f1:1 root_flags:1f2:2 syssize:1f4:4 ram_size:1f8:2 vid_mode:1fa:2 root_dev:1fc:2
    boot_flag:1fe:2 jump:200:2 header:202:4 version:206:2 realmode_swtch:208:4 start_sys_seg:20c:2
    kernel_version:20e:2 type_of_loader:210:1 loadflags:211:1 setup_move_size:212:2
    code32_start:214:4 ramdisk_image:218:4 ramdisk_size:21c:4 bootsect_kludge:220:4
    heap_end_ptr:224:2 ext_loader_ver:226:1 ext_loader_type:227:1 cmd_line_ptr:228:4
    initrd_addr_max:22c:4 kernel_alignment:230:4 relocatable_kernel:234:1 min_alignment:235:1
    xloadflags:236:2 cmdline_size:238:4 hardware_subarch:23c:4 hardware_subarch_data:240:8
    payload_offset:248:4 payload_length:24c:4 setup_data:250:8 pref_address:258:8 init_size:260:4
    handover_offset:264:4 kernel_info_offset:268:4
"""
FIELDS = {
    name: (int(offset, 16), int(size))
    for name, offset, size in (item.split(":") for item in _LAYOUT.split())
}
"""The setup header: offsets in the file, which are those in the zero page, and sizes."""

OUTSIDE = {
    "acpi_rsdp_addr": (0x070, 8),
    "ext_ramdisk_image": (0x0C0, 4),
    "ext_ramdisk_size": (0x0C4, 4),
    "ext_cmd_line_ptr": (0x0C8, 4),
    "e820_entries": (0x1E8, 1),
    "sentinel": (0x1EF, 1),
}
HDRS = 0x5372_6448
KERNEL = b"\xf4" * 0x400


@dataclass
class BzImage:
    """A kernel to be: protocol 2.15, relocatable, with a 64-bit entry, for 16 MiB; or as told."""

    kernel: bytes = KERNEL
    fields: dict[str, int] = field(default_factory=dict)

    def build(self) -> bytes:
        """The file's bytes."""
        values = {
            "setup_sects": 2,
            "syssize": len(self.kernel) // 16,
            "boot_flag": 0xAA55,
            "jump": 0x6AEB,
            "header": HDRS,
            "version": 0x20F,
            "loadflags": 1,
            "code32_start": 0x10_0000,
            "initrd_addr_max": 0x7FFF_FFFF,
            "kernel_alignment": 0x20_0000,
            "relocatable_kernel": 1,
            "min_alignment": 21,
            "xloadflags": 0x3F,
            "cmdline_size": 2047,
            "pref_address": 0x100_0000,
            "init_size": 0x10_0000,
        } | self.fields
        setup = bytearray(b"\xff" * 512 * (1 + (values["setup_sects"] or 4)))
        setup[0x1F1:0x280] = bytes(0x280 - 0x1F1)
        for name, value in values.items():
            offset, size = FIELDS[name]
            setup[offset : offset + size] = value.to_bytes(size, "little")
        return bytes(setup) + self.kernel


def read_zero_page(ram: GuestRam, at: int) -> dict[str, int]:
    """All fields by name."""
    return {
        name: int.from_bytes(ram.read(at + offset, size), "little")
        for name, (offset, size) in (FIELDS | OUTSIDE).items()
    }


def read_e820(ram: GuestRam, at: int) -> list[tuple[int, int, int]]:
    """Address, size and type of each range."""
    entries = range(at + 0x2D0, at + 0x2D0 + 20 * ram.read(at + 0x1E8, 1)[0], 20)
    return [(ram.u64(entry), ram.u64(entry + 8), ram.u32(entry + 16)) for entry in entries]
