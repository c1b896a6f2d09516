"""The option --fw-cfg: what the user says about one file, and the file's content."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from typing import NamedTuple

from pykvm.devices.fw_cfg_items import FILE_SIZE_MAX, check_file_name
from pykvm.errors import FwCfgError
from pykvm.files import open_regular

KEYS = ("name", "string", "file")
FORM = "write it like name=opt/org.me/seed,string=42 or name=opt/org.me/seed,file=PATH"


class FwCfgOption(NamedTuple):
    """One --fw-cfg: exactly one of `string` and `path` is there.

    Attributes:
        name: the file's name for the guest.
        string: its content, without an end mark.
        path: the host's file that has its content.
    """

    name: str
    string: str | None
    path: str | None

    def content(self) -> bytes:
        """The file's content.

        Raises:
            FwCfgError: the host's file cannot be read, or is no regular file of less than 4 GiB.
        """
        if self.path is None:
            return os.fsencode(self.string or "")
        return _read_file(self.path)


def parse(text: str) -> FwCfgOption:
    """What `text` says, in QEMU's notation.

    That is KEY=VALUE parts separated by commas; a comma in a value is written twice; "name=" may
    be left out at the beginning.

    Raises:
        ArgumentTypeError: it does not say a name and one content.
    """
    parts = _split(text)
    if "=" not in parts[0]:
        parts[0] = f"name={parts[0]}"
    values: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or key not in KEYS:
            raise ArgumentTypeError(
                f"{part!r} is none of name=, string= and file= (a comma in a value is written ,,)"
            )
        if key in values:
            raise ArgumentTypeError(f"{text!r} has {key}= twice")
        values[key] = value
    if "name" not in values or ("string" in values) == ("file" in values):
        raise ArgumentTypeError(f"{text!r} is not one name and one content: {FORM}")
    try:
        check_file_name(values["name"])
    except FwCfgError as error:
        raise ArgumentTypeError(str(error)) from None
    return FwCfgOption(values["name"], values.get("string"), values.get("file"))


def _split(text: str) -> list[str]:
    """The parts of `text`, with commas where they had two."""
    parts = [""]
    for i, between in enumerate(text.split(",,")):
        first, *others = between.split(",")
        parts[-1] += ("," if i else "") + first
        parts += others
    return parts


def _read_file(path: str) -> bytes:
    try:
        fd, size = open_regular(path)
        with open(fd, "rb") as file:
            if size > FILE_SIZE_MAX:
                raise FwCfgError(f"--fw-cfg: {path}: a file of fw_cfg is smaller than 4 GiB")
            return file.read()
    except MemoryError:
        raise FwCfgError(f"--fw-cfg: {path}: this host has not the memory to read it") from None
    except OSError as error:
        raise FwCfgError(f"--fw-cfg: {path}: {error.strerror}") from error
    except ValueError as error:
        raise FwCfgError(f"--fw-cfg: {path!r}: {error}") from error
