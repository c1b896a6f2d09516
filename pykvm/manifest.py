"""The bundled guests: what `guests/manifest.toml` says of each.

Import it only where a bundled guest is wanted: it costs a TOML parser.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from pykvm.boot.module_file import ModuleFile, parse_module
from pykvm.errors import GuestMemoryError, ImageError
from pykvm.sizes import parse_size
from pykvm.x86 import Mode

MANIFEST = "manifest.toml"
DEFAULT_TIMEOUT = 10.0

_T = TypeVar("_T")


class Guest(NamedTuple):
    """One bundled guest: how to run it, and how it ends when all is well.

    Attributes:
        name: what `pykvm run` calls it.
        path: its image.
        summary: one line, for people.
        mode: how a flat image is entered; None for what the image itself says.
        load_address: where a flat image is loaded (guest-physical); None for the default.
        memory: bytes of RAM; None for the default.
        cmdline: its command line.
        modules: what is loaded beside it.
        smp: how many processors.
        kvm_only: what it needs that emulated machines have not, if it does.
        needs: the probes that must pass.
        attach: the devices that it needs and that a plain machine lacks.
        input: what comes in on COM1.
        keys: what is typed on its BIOS's keyboard.
        power_button: what it sends to COM1 before the power button is pressed; None: nobody
            presses it.
        teletype: what its BIOS writes to the screen, in UTF-8; None where that does not matter.
        output: what it sends to COM1; None where `output_regex` says it.
        output_regex: matches all that it sends to COM1; None where `output` says it.
        status: what `pykvm run` ends with.
        timeout: seconds to run at most.
    """

    name: str
    path: Path
    summary: str
    mode: Mode | None
    load_address: int | None
    memory: int | None
    cmdline: str
    modules: tuple[ModuleFile, ...]
    smp: int
    kvm_only: str | None
    needs: tuple[str, ...]
    attach: tuple[str, ...]
    input: bytes
    keys: bytes
    power_button: bytes | None
    teletype: bytes | None
    output: bytes | None
    output_regex: bytes | None
    status: int
    timeout: float


def guests_folder() -> Path | None:
    """The folder of the bundled guests and their manifest; None if there is none.

    It is inside the installed package, or in a checkout beside it.
    """
    package = Path(__file__).resolve().parent
    for parent in (package, package.parent):
        folder = parent / "guests"
        if (folder / MANIFEST).is_file():
            return folder
    return None


def find_guest(name: str) -> Guest | None:
    """The bundled guest `name`; None if there is none of that name.

    Raises:
        ImageError: the manifest is damaged, or the image is not built yet.
    """
    folder = guests_folder()
    guest = None if folder is None else load_manifest(folder).get(name)
    if guest is not None and not guest.path.exists():
        raise ImageError(f"{guest.path}: not built yet: run `make guests` in the checkout")
    return guest


def load_manifest(folder: Path) -> dict[str, Guest]:
    """All guests of the manifest in `folder` by name, in its order.

    Raises:
        ImageError: it cannot be read, or an entry of it is malformed.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from error
    guests: dict[str, Guest] = {}
    try:
        tables = _Table("manifest", document)
        for number, entry in enumerate(tables.take_list("guest", dict), start=1):
            guest = _read_guest(folder, _Table(f"guest {entry.get('name', number)}", entry))
            if guest.name in guests:
                raise ImageError(f"guest {guest.name} is there twice")
            guests[guest.name] = guest
        tables.done()
    except (ImageError, GuestMemoryError) as error:
        raise ImageError(f"{path}: {error}") from error
    return guests


def _read_guest(folder: Path, table: _Table) -> Guest:
    mode = table.take("mode", str, None)
    memory = table.take("memory", str, None)
    output = table.take("output", str, None)
    power_button = table.take("power_button", str, None)
    teletype = table.take("teletype", str, None)
    output_regex = table.take("output_regex", str, None)
    if (output is None) == (output_regex is None):
        raise table.error("wants either output or output_regex")
    if mode not in (None, *(m.value for m in Mode)):
        raise table.error(f"has no mode {mode!r}")
    guest = Guest(
        name=table.take("name", str),
        path=folder / table.take("file", str),
        summary=table.take("summary", str),
        mode=None if mode is None else Mode(mode),
        load_address=table.take("load_address", int, None),
        memory=None if memory is None else parse_size(memory),
        cmdline=table.take("cmdline", str, ""),
        modules=tuple(_module(folder, text) for text in table.take_list("modules", str)),
        smp=table.take("smp", int, 1),
        kvm_only=table.take("kvm_only", str, None),
        needs=tuple(table.take_list("needs", str)),
        attach=tuple(table.take_list("attach", str)),
        input=table.bytes_of("input", table.take("input", str, "")),
        keys=table.bytes_of("keys", table.take("keys", str, "")),
        power_button=(
            None if power_button is None else table.bytes_of("power_button", power_button)
        ),
        teletype=None if teletype is None else teletype.encode(),
        output=None if output is None else table.bytes_of("output", output),
        output_regex=(
            None if output_regex is None else table.bytes_of("output_regex", output_regex)
        ),
        status=table.take("status", int, 0),
        timeout=float(table.take("timeout", (int, float), DEFAULT_TIMEOUT)),
    )
    table.done()
    return guest


def _module(folder: Path, text: str) -> ModuleFile:
    module = parse_module(text)
    return module._replace(path=str(folder / module.path))


_REQUIRED = object()


class _Table:
    """A TOML table that is emptied key by key, each with its type.

    Args:
        name: how errors call it.
        content: the table; stays as it is.
    """

    def __init__(self, name: str, content: dict[str, object]) -> None:
        self._name = name
        self._rest = dict(content)

    def error(self, words: str) -> ImageError:
        """To be raised: `words` about this table."""
        return ImageError(f"{self._name} {words}")

    def take(
        self, key: str, kind: type[_T] | tuple[type[_T], ...], default: object = _REQUIRED
    ) -> _T:
        """The value of `key`, which must be a `kind`, or `default` if it is not there."""
        value = self._rest.pop(key, default)
        if value is _REQUIRED:
            raise self.error(f"lacks {key}")
        if value is not default and (not isinstance(value, kind) or isinstance(value, bool)):
            raise self.error(f"has {value!r} for {key}")
        return cast("_T", value)

    def take_list(self, key: str, kind: type[_T]) -> list[_T]:
        """The elements of `key`, each a `kind`; none if it is not there."""
        elements: list[object] = self.take(key, list, [])
        for element in elements:
            if not isinstance(element, kind):
                raise self.error(f"has {element!r} in {key}")
        return cast("list[_T]", elements)

    def bytes_of(self, key: str, text: str) -> bytes:
        """What goes over a serial line: a byte for each character up to U+00FF."""
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise self.error(f"has characters in {key} that are no bytes") from None

    def done(self) -> None:
        """All keys are taken.

        Raises:
            ImageError: there are others.
        """
        if self._rest:
            raise self.error(f"has an unknown key {next(iter(self._rest))}")
