"""Modules as users write them: a file, and the string that the kernel gets with it."""

from __future__ import annotations

import os
import re

from pykvm.boot.image import read_image
from pykvm.boot.request import Module
from pykvm.errors import ImageError
from pykvm.named import NamedTuple

_SINGLE_COMMA = re.compile("(?<!,),(?!,)")


class ModuleFile(NamedTuple):
    """A module that is not read yet.

    Attributes:
        path: its file.
        cmdline: the string that the kernel gets with it.
    """

    path: str
    cmdline: str

    def read(self, ram: int) -> Module:
        """The module.

        Args:
            ram: bytes of RAM of the machine it is for.

        Raises:
            ImageError: the file cannot be read, is empty, or could never fit.
        """
        if not self.path:
            raise ImageError("a module's file name is empty")
        return Module(os.path.basename(self.path), read_image(self.path, ram), self.cmdline)


def parse_module(text: str) -> ModuleFile:
    """What FILE[,CMDLINE] means: without CMDLINE, the kernel gets FILE as it is written.

    Two commas in FILE stand for one.
    """
    file, *cmdline = _SINGLE_COMMA.split(text, maxsplit=1)
    path = file.replace(",,", ",")
    return ModuleFile(path, cmdline[0] if cmdline else path)
