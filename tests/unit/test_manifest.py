"""The guests' manifest: complete, and refused in clear words when damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykvm import manifest
from pykvm.boot.image import mode_by_name
from pykvm.boot.module_file import ModuleFile
from pykvm.errors import ImageError
from pykvm.manifest import Guest, find_guest, guests_folder, load_manifest
from pykvm.x86 import Mode

FOLDER = Path(__file__).resolve().parents[2] / "guests"
GUESTS = load_manifest(FOLDER)
IMAGES = {"real": ".bin", "protected": ".bin32", "long": ".bin64", "elf32": ".elf", "elf64": ".elf"}
IMAGES["multiboot"] = ".elf"
SOURCES = sorted(
    source for folder in IMAGES for source in (FOLDER / folder).iterdir() if source.is_file()
)

BY_BIOS = ("boot_sector", "bios_disk")
"""Recognised by their first sector."""

LEAST = """
[[guest]]
name = "one"
file = "one.bin"
summary = "the first"
output = ""
"""


def read(folder: Path, text: str) -> dict[str, Guest]:
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return load_manifest(folder)


def test_every_source_has_an_entry_and_every_entry_a_source() -> None:
    built = {source.stem + IMAGES[source.parent.name] for source in SOURCES}
    assert len(built) == len(SOURCES)
    assert {guest.path.name for guest in GUESTS.values()} == built


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_source_says_what_it_is(source: Path) -> None:
    header = source.read_text(encoding="utf-8").partition("\n\n")[0]
    keys = re.findall(r"^(?:#| \*) (\w+): ", header, re.MULTILINE)
    always = [key for key in keys if key not in ("Reads", "Needs", "Takes")]
    assert always == [source.stem, "Teaches", "Mode", "Prints", "Ends"]


@pytest.mark.parametrize("guest", GUESTS.values(), ids=GUESTS.keys())
def test_every_guest_is_named_and_entered_as_its_source_says(guest: Guest) -> None:
    (source,) = [s for s in SOURCES if s.stem == guest.path.stem]
    assert guest.name == source.stem
    by_folder = {"real": Mode.REAL, "protected": Mode.PROTECTED, "long": Mode.LONG}
    if guest.name in BY_BIOS:
        assert guest.mode is None
    else:
        assert guest.mode is by_folder.get(source.parent.name)
    if guest.mode in (Mode.PROTECTED, Mode.LONG):
        assert mode_by_name(guest.path.name) is guest.mode
    else:
        assert mode_by_name(guest.path.name) is None


def test_the_readme_lists_every_guest_in_order() -> None:
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)
    assert rows == [(guest.name, guest.summary) for guest in GUESTS.values()]


def test_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST) == {
        "one": Guest(
            name="one",
            path=tmp_path / "one.bin",
            summary="the first",
            mode=None,
            load_address=None,
            memory=None,
            cmdline="",
            modules=(),
            smp=1,
            kvm_only=None,
            needs=(),
            attach=(),
            input=b"",
            keys=b"",
            power_button=None,
            teletype=None,
            output=b"",
            output_regex=None,
            status=0,
            timeout=10.0,
        )
    }


def test_every_key(tmp_path: Path) -> None:
    first = ModuleFile(str(tmp_path / "a.bin"), "first one")
    second = ModuleFile(str(tmp_path / "b.bin"), "b.bin")
    text = """
    [[guest]]
    name = "two"
    file = "two.bin"
    summary = "the second"
    mode = "long"
    load_address = 0x200000
    memory = "64K"
    cmdline = "one two"
    modules = ["a.bin,first one", "b.bin"]
    smp = 2
    needs = ["long_mode", "sse"]
    attach = ["scratch-mmio"]
    input = "\\u0004\\u00ff"
    keys = "\\u001b"
    power_button = "now\\u00ff"
    teletype = "\u00e4"
    output_regex = "a+\\n"
    status = 3
    timeout = 1
    """
    (guest,) = read(tmp_path, text).values()
    assert guest == Guest(
        name="two",
        path=tmp_path / "two.bin",
        summary="the second",
        mode=Mode.LONG,
        load_address=0x200000,
        memory=65536,
        cmdline="one two",
        modules=(first, second),
        smp=2,
        kvm_only=None,
        needs=("long_mode", "sse"),
        attach=("scratch-mmio",),
        input=b"\x04\xff",
        keys=b"\x1b",
        power_button=b"now\xff",
        teletype="ä".encode(),
        output=None,
        output_regex=b"a+\n",
        status=3,
        timeout=1.0,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("guest = 3", "manifest has 3 for guest"),
        ("guest = [3]", "manifest has 3 in guest"),
        (LEAST + "colour = 3", "guest one has an unknown key colour"),
        ("colour = 3\n" + LEAST, "manifest has an unknown key colour"),
        (LEAST + 'mode = "virtual"', "guest one has no mode 'virtual'"),
        (LEAST + 'memory = "much"', "'much' is not a memory size"),
        (LEAST + "memory = 65536", "guest one has 65536 for memory"),
        (LEAST + "cmdline = 3", "guest one has 3 for cmdline"),
        (LEAST + "modules = [3]", "guest one has 3 in modules"),
        (LEAST + "status = true", "guest one has True for status"),
        (LEAST + 'needs = ["sse", 2]', "guest one has 2 in needs"),
        (LEAST + 'input = "\\u0100"', "guest one has characters in input that are no bytes"),
        (LEAST + 'output_regex = ""', "guest one wants either output or output_regex"),
        (LEAST.replace('output = ""', ""), "guest one wants either output or output_regex"),
        (LEAST.replace('file = "one.bin"', ""), "guest one lacks file"),
        (LEAST.replace('name = "one"', ""), "guest 1 lacks name"),
        (LEAST + LEAST, "guest one is there twice"),
        ("guest = [", "Invalid value"),
        ("\udcff", "utf-8"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ImageError) as caught:
        load_manifest(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        load_manifest(tmp_path)


def test_the_checkout_s_guests_are_found() -> None:
    assert guests_folder() == FOLDER


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, beside = tmp_path / "pykvm" / "guests", tmp_path / "guests"
    monkeypatch.setattr(manifest, "__file__", str(tmp_path / "pykvm" / "manifest.py"))
    assert guests_folder() is None
    assert find_guest("one") is None
    for folder in (beside, inside):
        folder.mkdir(parents=True)
        read(folder, LEAST)
        (folder / "one.bin").touch()
        assert guests_folder() == folder
        guest = find_guest("one")
        assert guest is not None
        assert guest.path == folder / "one.bin"
    assert find_guest("two") is None


def test_an_image_that_is_not_built_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "guests_folder", lambda: tmp_path)
    read(tmp_path, LEAST)
    with pytest.raises(ImageError, match=r"one\.bin: not built yet: run `make guests`"):
        find_guest("one")
