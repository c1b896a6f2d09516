"""What the emulated machine is made of, and the cache where that lies."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.svm.debian import Archive
from tests.svm.failure import Failure

_LAYOUT = 1
"""Counted up when what lies in the cache changes."""

_KERNEL = "linux-image-amd64"
"""Debian's general kernel; the smaller one for clouds has no 9p."""
_GUEST_KERNEL = "linux-image-cloud-amd64"
_KERNEL_NAME = re.compile(r"linux-image-\d")

_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "kvm_amd")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")

_QEMU_PACKAGE, _QEMU = "qemu-system-x86", "qemu-system-x86_64"
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")

FOLDER, PROGRAM, FILE = 0o040755, 0o100755, 0o100644
"""Types and permissions, as in st_mode."""

_INIT = Path(__file__).with_name("init.sh")


class Parts(NamedTuple):
    """What the emulated machine is made of.

    Attributes:
        qemu: the emulator's program.
        libraries: folders of the libraries it comes with; none where it is installed.
        kernel: an ELF file, or a bzImage if only its own code can unpack it.
        initrd: an initial RAM disk with busybox and the modules, and no first process yet.
    """

    qemu: Path
    libraries: tuple[Path, ...]
    kernel: Path
    initrd: Path

    def initrd_for(self, command: str) -> bytes:
        """The initial RAM disk with the first process, and a shell's `command` for it to run."""
        files = {"init": (PROGRAM, _INIT.read_bytes()), "command": (FILE, command.encode())}
        return self.initrd.read_bytes() + cpio(files)


def find_parts() -> Parts:
    """The parts as they are in the cache; what is missing there comes from Debian's archive.

    Raises:
        Failure: something cannot be had, or the cache cannot be written.
    """
    cache = _cache()
    machine = _cached(cache / "machine", _make_machine)
    kernel, initrd = machine / "kernel", machine / "initrd"
    installed = shutil.which(_QEMU)
    if installed is not None:
        return Parts(Path(installed), (), kernel, initrd)
    qemu = _cached(cache / "qemu", _fetch_qemu)
    libraries = tuple(qemu / folder for folder in _LIBRARIES)
    return Parts(qemu / "usr/bin" / _QEMU, libraries, kernel, initrd)


def find_guest_kernel(*, fetch: bool) -> Path | None:
    """A Linux for the tests to boot as a guest, Debian's kernel for clouds, as a bzImage.

    Args:
        fetch: get it from Debian's archive if it is not in the cache; else the result is None.

    Raises:
        Failure: it cannot be had, or the cache cannot be written.
    """
    folder = _cache() / "guest-kernel"
    if not fetch and not folder.is_dir():
        return None
    return _cached(folder, _fetch_guest_kernel) / "vmlinuz"


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "pykvm-svm" / str(_LAYOUT)


def _cached(folder: Path, make: Callable[[Archive, Path, Path], None]) -> Path:
    """A folder that `make` fills from the archive, given room for packages, unless it is there.

    It appears whole or not at all: processes may try at the same time, and end at any.
    """
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            unfinished, packages, lists = (Path(name, part) for part in ("new", "packages", "apt"))
            for empty in (unfinished, packages, lists):
                empty.mkdir()
            make(Archive(lists), packages, unfinished)
            if not folder.is_dir():
                unfinished.rename(folder)
    except OSError as error:
        raise Failure(f"cannot fill the cache {folder.parent}: {error.strerror}") from error
    return folder


def _fetch_qemu(archive: Archive, packages: Path, folder: Path) -> None:
    archive.unpack(archive.needed_for(_QEMU_PACKAGE), folder)


def _fetch_guest_kernel(archive: Archive, packages: Path, folder: Path) -> None:
    kernel = _unpack_kernel(archive, _GUEST_KERNEL, packages)
    shutil.copyfile(kernel, folder / "vmlinuz")


def _unpack_kernel(archive: Archive, package: str, folder: Path) -> Path:
    # as on a machine that has nothing: an installed kernel is needed here, too
    needed = archive.needed_for(package, installed=False)
    archive.unpack([name for name in needed if _KERNEL_NAME.match(name)], folder)
    return _only(folder, "boot/vmlinuz-*")


def _make_machine(archive: Archive, packages: Path, folder: Path) -> None:
    kernel = _unpack_kernel(archive, _KERNEL, packages).read_bytes()
    archive.unpack(["busybox-static"], packages)
    (folder / "kernel").write_bytes(_unpacked(kernel))
    files = {
        "bin": (FOLDER, b""),
        "bin/busybox": (PROGRAM, _only(packages, "**/bin/busybox").read_bytes()),
        "modules": (FOLDER, b""),
    }
    for index, module in enumerate(_in_load_order(packages)):
        files[f"modules/{index:02}.ko"] = (FILE, module)
    (folder / "initrd").write_bytes(cpio(files))


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise Failure(f"Debian's packages have no {pattern}, which the emulated machine needs")
    return found[0]


def _unpacked(image: bytes) -> bytes:
    """The ELF file that a bzImage unpacks at its start, which emulated takes seconds.

    The fields of the setup header are those of Documentation/arch/x86/boot.rst, "The Real-Mode
    Kernel Header".  Debian packs with xz; whatever else there may be stays as it is.
    """
    setup_sectors = image[0x1F1]
    offset, length = struct.unpack_from("<II", image, 0x248)  # payload_offset, payload_length
    start = (1 + setup_sectors) * 512 + offset
    try:
        return lzma.LZMADecompressor().decompress(image[start : start + length])
    except lzma.LZMAError:
        return image


def _in_load_order(packages: Path) -> Iterator[bytes]:
    """The modules, each behind those it depends on; what is not there is built into the kernel."""
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in packages.rglob("*.ko*")}
    if "kvm_amd" not in paths:
        raise Failure(f"{_KERNEL} has no module kvm_amd")
    seen = set()

    def load(name: str) -> Iterator[bytes]:
        if name in seen or name not in paths:
            return
        seen.add(name)
        content = paths[name].read_bytes()
        if paths[name].suffix == ".xz":
            content = lzma.decompress(content)
        depends = _DEPENDS.search(content)
        if depends is not None and depends[1]:
            for other in depends[1].decode().split(","):
                yield from load(other.replace("-", "_"))
        yield content

    for name in _MODULES:
        yield from load(name)


def cpio(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """An archive in the kernel's "newc" format (driver-api/early-userspace/buffer-format.rst).

    Args:
        files: st_mode and content by path.
    """
    archive = bytearray()
    for inode, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))]):
        # inode, mode, uid, gid, links, time, size, two devices' major and minor, name, checksum
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields)
        archive += name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)
