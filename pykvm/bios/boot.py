"""INT 19h and 18h: find something to boot, or say that there is nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pykvm.bios import status
from pykvm.bios.geometry import SECTOR
from pykvm.bios.image import FIRST_HARD_DISK
from pykvm.bios.transfer import Operation, Transfers
from pykvm.layout import BOOT_SECTOR_ADDRESS
from pykvm.memory import Gpa

if TYPE_CHECKING:
    from pykvm.bios.call import Call
    from pykvm.bios.image import Drive
    from pykvm.bios.video import Video
    from pykvm.memory import GuestMemory

SIGNATURE = 0xAA55
NOTHING_TO_BOOT = b"No bootable disk.\r\n"


class Boot:
    """The services.

    Args:
        memory: guest RAM.
        drives: by number; the first floppy drive is tried before the first hard disk.
        video: where messages go.
        stop: called, with a reason, when the machine has nothing more to do.
    """

    def __init__(
        self,
        memory: GuestMemory,
        drives: Mapping[int, Drive],
        video: Video,
        stop: Callable[[str], None],
    ) -> None:
        self._memory = memory
        self._drives = drives
        self._transfers = Transfers(memory)
        self._video = video
        self._stop = stop

    def bootstrap(self, call: Call) -> None:
        """INT 19h: read a boot sector and leave its drive in DL; signals that there is none."""
        for number in (0, FIRST_HARD_DISK):
            drive = self._drives.get(number)
            if drive is not None and self._load(drive):
                call.registers.dx = number
                return
        call.signal = True

    def no_system(self, call: Call) -> None:
        """INT 18h: give up."""
        self._video.write(NOTHING_TO_BOOT)
        self._stop("nothing to boot from")

    def _load(self, drive: Drive) -> bool:
        code = self._transfers.run(Operation.READ, drive.disk, 0, 1, BOOT_SECTOR_ADDRESS)
        signature = self._memory.read_uint(Gpa(BOOT_SECTOR_ADDRESS + SECTOR - 2), 2)
        return code == status.OK and signature == SIGNATURE
