"""What the emulated machine is made of: packages, a packed kernel, the RAM disk, the cache."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.svm import parts
from tests.svm.debian import Archive
from tests.svm.failure import Failure
from tests.unit.svm.fakes import program

ELF = b"\x7fELF" + bytes(5000)

Files = dict[str, tuple[int, bytes]]


def bzimage(payload: bytes, setup_sectors: int = 39) -> bytes:
    """Zeros, but for what tells where the packed kernel is."""
    image = bytearray((1 + setup_sectors) * 512 + 0x100)
    image[0x1F1] = setup_sectors
    image[0x248:0x250] = struct.pack("<II", 0x100, len(payload))
    return bytes(image) + payload + b"what follows"


@pytest.mark.parametrize("setup_sectors", [1, 39])
def test_a_kernel_that_xz_packed_is_unpacked(setup_sectors: int) -> None:
    image = bzimage(lzma.compress(ELF) + struct.pack("<I", len(ELF)), setup_sectors)
    assert parts._unpacked(image) == ELF


def test_a_kernel_of_another_packer_stays_packed() -> None:
    image = bzimage(b"\x02\x21\x4c\x18" + bytes(100))
    assert parts._unpacked(image) == image


def read_cpio(archive: bytes) -> Files:
    """The files of an archive, read as the kernel's document describes them."""
    files: Files = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size]
        assert name.endswith(b"\0")
        at += 110 + name_size
        at += -at % 4
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return files
        files[name[:-1].decode()] = mode, archive[at : at + size]
        at += size
        at += -at % 4


PATHS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1)


@given(st.dictionaries(PATHS, st.tuples(st.integers(0, 0o177777), st.binary())))
def test_an_archive_holds_what_was_put_in(files: Files) -> None:
    assert read_cpio(parts.cpio(files)) == files


def modules(folder: Path, **depends: str) -> None:
    """Modules that say what they depend on, under their files' names."""
    for name, others in depends.items():
        path = folder / f"lib/modules/6/kernel/{name.replace('_', '-')}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"ELF" + f"\0name={name}\0depends={others}\0".encode())


def names(loaded: list[bytes]) -> list[str]:
    return [module.split(b"name=")[1].split(b"\0")[0].decode() for module in loaded]


def test_modules_follow_what_they_depend_on(tmp_path: Path) -> None:
    modules(
        tmp_path, kvm_amd="kvm,ccp", kvm="irqbypass", irqbypass="", ccp="", overlay="", other=""
    )
    loaded = names(list(parts._in_load_order(tmp_path)))
    assert loaded == ["overlay", "irqbypass", "kvm", "ccp", "kvm_amd"]


def test_packed_modules_are_unpacked(tmp_path: Path) -> None:
    packed = lzma.compress(b"\0name=kvm_amd\0depends=\0")
    (tmp_path / "kvm-amd.ko.xz").write_bytes(packed)
    assert names(list(parts._in_load_order(tmp_path))) == ["kvm_amd"]


def test_a_kernel_without_kvm_will_not_do(tmp_path: Path) -> None:
    modules(tmp_path, kvm="")
    with pytest.raises(Failure, match="has no module kvm_amd"):
        list(parts._in_load_order(tmp_path))


APT = """\
import sys
words = sys.argv
if "install" in words:
    print("Inst libfoo (1.0)\\nInst the-package [0.9] (1.0)\\nConf libfoo (1.0)")
elif "download" in words:
    for name in words[words.index("download") + 1:]:
        open(f"{name}_1.0_amd64.deb", "w").write(name)
"""
DPKG = """\
import os, sys
os.makedirs(sys.argv[3] + "/boot", exist_ok=True)
open(sys.argv[3] + "/boot/" + os.path.basename(sys.argv[2]), "w")
"""
APT_WITHOUT_NETWORK = """\
import sys
if "update" in sys.argv:
    sys.stderr.write("W: Failed to fetch x  Could not resolve\\n")
else:
    sys.exit("E: Unable to locate package " + sys.argv[-1])
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH; the cache is in another one."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_packages_are_unpacked_and_not_installed(tools: Path, tmp_path: Path) -> None:
    program(tools, "apt-get", APT)
    program(tools, "dpkg-deb", DPKG)
    lists, into = tmp_path / "lists", tmp_path / "into"
    lists.mkdir()
    archive = Archive(lists)
    assert archive.needed_for("the-package") == ["libfoo", "the-package"]
    archive.unpack(["libfoo", "the-package"], into)
    unpacked = {path.name for path in into.glob("boot/*")}
    assert unpacked == {"libfoo_1.0_amd64.deb", "the-package_1.0_amd64.deb"}
    assert not list(lists.glob("*.deb"))


def test_no_apt(tools: Path) -> None:
    with pytest.raises(Failure, match="no apt-get and dpkg-deb"):
        parts.find_parts()


def test_no_network(tools: Path, tmp_path: Path) -> None:
    """The cause, not what follows from it; and no half a cache."""
    program(tools, "apt-get", APT_WITHOUT_NETWORK)
    program(tools, "dpkg-deb", DPKG)
    with pytest.raises(Failure) as caught:
        parts.find_parts()
    assert str(caught.value) == (
        "cannot get linux-image-amd64 from Debian's archive: Failed to fetch x  Could not resolve"
    )
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_guest_s_kernel_is_fetched_only_when_told(tools: Path) -> None:
    assert parts.find_guest_kernel(fetch=False) is None
    program(tools, "apt-get", APT.replace("the-package", "linux-image-6.1-cloud"))
    program(tools, "dpkg-deb", DPKG.replace('"/boot/" + os', '"/boot/vmlinuz-" + os'))
    kernel = parts.find_guest_kernel(fetch=True)
    assert kernel is not None
    assert kernel.is_file()
    assert parts.find_guest_kernel(fetch=False) == kernel


def test_a_cache_that_cannot_be_written(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Failure, match=r"cannot fill the cache .*: Not a directory"):
        parts.find_parts()


def test_what_is_cached_is_not_made_again(tmp_path: Path, tools: Path) -> None:
    program(tools, "apt-get", APT)
    program(tools, "dpkg-deb", DPKG)
    made = []

    def make(archive: Archive, packages: Path, folder: Path) -> None:
        made.append(folder)
        (folder / "part").write_text("made")

    for _ in range(2):
        folder = parts._cached(tmp_path / "cache" / "thing", make)
        assert (folder / "part").read_text() == "made"
    assert len(made) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["thing"]


def test_an_installed_qemu_is_preferred(tools: Path, tmp_path: Path) -> None:
    qemu = program(tools, "qemu-system-x86_64", "")
    machine = tmp_path / "cache/pykvm-svm/1/machine"
    machine.mkdir(parents=True)
    found = parts.find_parts()
    assert (found.qemu, found.libraries) == (qemu, ())
    assert found.kernel == machine / "kernel"


def test_a_cached_qemu_brings_its_libraries(tools: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache/pykvm-svm/1"
    for part in ("machine", "qemu"):
        (cache / part).mkdir(parents=True)
    found = parts.find_parts()
    assert found.qemu == cache / "qemu/usr/bin/qemu-system-x86_64"
    assert cache / "qemu/usr/lib/x86_64-linux-gnu" in found.libraries
