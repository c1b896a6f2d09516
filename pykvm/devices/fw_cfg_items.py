"""What fw_cfg holds: items by key, and files, which are items with a name and a directory.

Keys, formats and the directory are those of QEMU's docs/specs/fw_cfg.rst and, for the keys that
it leaves to the source, of Linux's include/uapi/linux/qemu_fw_cfg.h.
"""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Callable, Iterable

from pykvm.errors import FwCfgError

# Keys.
SIGNATURE = 0x00
ID = 0x01
UUID = 0x02
RAM_SIZE = 0x03
NOGRAPHIC = 0x04
NB_CPUS = 0x05
BOOT_MENU = 0x0E
MAX_CPUS = 0x0F
FILE_DIR = 0x19
FILE_FIRST = 0x20
FILE_END = 0x4000
"""The first key that is no file's: the specification has 0x4000 generic items."""
WRITE_CHANNEL = 1 << 14
"""In a key: the item is to be written.  It says nothing any more: what may be written may be
written through either key."""
ARCH_LOCAL = 1 << 15
"""In a key: the item is of the architecture, not generic."""
IRQ0_OVERRIDE = ARCH_LOCAL | 0x02
"""x86: 1 where ISA interrupt 0 is the IOAPIC's input 2."""

FILE_NAME_MAX = 55
FILE_SIZE_MAX = (1 << 32) - 1
FILE_COUNT_MAX = FILE_END - FILE_FIRST

_COUNT = struct.Struct(">I")
_ENTRY = struct.Struct(">IHH56s")
_E820_ENTRY = struct.Struct("<QQI")


Written = Callable[[bytes], None]


class Item:
    """One item: its bytes, and what is called when the guest has written some of them.

    Attributes:
        data: the bytes; a `bytearray` if the guest may write them.
        on_write: called with all of them after each write; None for a read-only item.
    """

    __slots__ = ("data", "on_write")

    def __init__(self, data: bytes, on_write: Written | None = None) -> None:
        self.data = data if on_write is None else bytearray(data)
        self.on_write = on_write

    def __len__(self) -> int:
        return len(self.data)


class Items:
    """All items of one fw_cfg device."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._files: dict[str, Item] = {}
        self._names: list[str] = []
        self._directory: Item | None = None

    def find(self, key: int) -> Item | None:
        """The item of a key (0 to 0xFFFF), if there is one."""
        key &= ~WRITE_CHANNEL
        if key == FILE_DIR:
            return self._file_dir()
        if FILE_FIRST <= key < FILE_END:
            index = key - FILE_FIRST
            return self._files[self._names[index]] if index < len(self._names) else None
        return self._items.get(key)

    def add_item(self, key: int, data: bytes, on_write: Written | None = None) -> None:
        """Give `key` its item; see `pykvm.devices.fw_cfg.FwCfg.add_item`."""
        if not 0 <= key < 1 << 16 or key & WRITE_CHANNEL or FILE_DIR <= key < FILE_END:
            raise FwCfgError(
                f"fw_cfg item {key:#x}: keys are 0 to {FILE_DIR - 1:#x}, and {ARCH_LOCAL:#x} to "
                f"{ARCH_LOCAL + FILE_END - 1:#x}; what has a name is a file"
            )
        if key in self._items:
            raise FwCfgError(f"fw_cfg item {key:#x} is there already")
        self._items[key] = Item(data, on_write)

    def add_file(self, name: str, data: bytes, on_write: Written | None = None) -> None:
        """Add a file; see `pykvm.devices.fw_cfg.FwCfg.add_file`."""
        check_file_name(name)
        if name in self._files:
            raise FwCfgError(f"fw_cfg file {name!r} is there already: give each name once")
        if len(data) > FILE_SIZE_MAX:
            raise FwCfgError(
                f"fw_cfg file {name!r}: {len(data)} bytes are more than the {FILE_SIZE_MAX} that "
                "its directory can tell"
            )
        if len(self._names) == FILE_COUNT_MAX:
            raise FwCfgError(f"fw_cfg file {name!r}: there are {FILE_COUNT_MAX} already")
        self._files[name] = Item(data, on_write)
        insort(self._names, name)
        self._directory = None

    def _file_dir(self) -> Item:
        """The directory (FWCfgFiles): the number of files, then one entry each, by name."""
        if self._directory is None:
            entries = [
                _ENTRY.pack(len(self._files[name]), key, 0, name.encode("ascii"))
                for key, name in enumerate(self._names, FILE_FIRST)
            ]
            self._directory = Item(_COUNT.pack(len(entries)) + b"".join(entries))
        return self._directory


def check_file_name(name: str) -> None:
    """Refuse what cannot name a file.

    Raises:
        FwCfgError: `name` is not 1 to 55 printable ASCII characters.
    """
    if not (name and name.isascii() and name.isprintable()):
        raise FwCfgError(f"fw_cfg file {name!r}: a name is printable ASCII, like opt/org.me/seed")
    if len(name) > FILE_NAME_MAX:
        raise FwCfgError(
            f"fw_cfg file {name!r}: a name has at most {FILE_NAME_MAX} characters, not {len(name)}"
        )


def e820_file(ranges: Iterable[tuple[int, int, int]]) -> bytes:
    """The content of "etc/e820": what firmware is to know of memory.

    Args:
        ranges: (start, length, type) each, in bytes; the type is as in the ACPI specification's
            table of address range types: 1 is RAM, 2 reserved.
    """
    return b"".join(_E820_ENTRY.pack(*entry) for entry in ranges)
