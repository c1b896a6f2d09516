"""Mistakes of a user, and hosts that lack something: one line, a status, and no traceback."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from tests.cli.conftest import HALT, PRINT_A, MakeImage, Pykvm, Result

FAILURE = 125
USAGE = 2

KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
KVM_GET_API_VERSION = 0xAE00
KVM_RUN = 0xAE80
NR_CLONE, NR_CLONE3 = 56, 435

with_kvm = pytest.mark.needs()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run"], "the following arguments are required: IMAGE"),
        (["run", "x", "y"], "unrecognized arguments: y"),
        (["run", "x", "--tiemout", "1"], "unrecognized arguments: --tiemout 1"),
        (["run", "x", "--time", "1"], "unrecognized arguments: --time 1"),
        (["run", "x", "-m", "0"], "argument -m/--memory: '0' is not a memory size"),
        (["run", "x", "-m", "12Q"], "argument -m/--memory: '12Q' is not a memory size"),
        (["run", "x", "-m", "-1"], "argument -m/--memory: '-1' is not a memory size"),
        (["run", "x", "-m", ""], "argument -m/--memory: '' is not a memory size"),
        (["run", "x", "-m", "9" * 5000], "argument -m/--memory: "),
        (["run", "x", "--mode", "unreal"], "argument --mode: invalid choice: 'unreal'"),
        (["run", "x", "--load-addr", "here"], "argument --load-addr: 'here' is not an address"),
        (["run", "x", "--entry", "-1"], "argument --entry: '-1' is not an address"),
        (["run", "x", "--entry", hex(1 << 64)], "is not an address: write it like 0x7c00"),
        (["run", "x", "--timeout", "0"], "argument --timeout: '0' is not a number of seconds"),
        (["run", "x", "--timeout", "nan"], "argument --timeout: 'nan' is not a number of seconds"),
        (["run", "x", "--timeout", "inf"], "argument --timeout: 'inf' is not a number of seconds"),
        (["run", "x", "--serial", "tty"], "'tty' is not stdio, null, pty or file:PATH"),
        (["run", "x", "--serial", "file:"], "'file:' is not stdio, null, pty or file:PATH"),
        (["run", "x", "--fw-cfg", "opt/a"], "'opt/a' is not one name and one content"),
        (["run", "x", "--smp", "0"], "argument --smp: '0' is not a number from 1 on"),
        (["run", "x", "--smp", "two"], "argument --smp: 'two' is not a number from 1 on"),
        (["run", "x", "--smp", "9" * 5000], "is not a number from 1 on"),
        (["run", "x", "--irqchip", "apic"], "argument --irqchip: invalid choice: 'apic'"),
        (["doctor", "now"], "unrecognized arguments: now"),
        (["ruin"], "'ruin' is not a command: run, trace, explain, bench, doctor, lab"),
        (["--jsno"], "unrecognized arguments: --jsno"),
    ],
)
def test_a_wrong_command_line(pykvm_command: Pykvm, words: list[str], complaint: str) -> None:
    result = pykvm_command(*words)
    assert (result.status, result.out) == (USAGE, b"")
    assert complaint in result.complaint
    assert result.complaint.endswith(" --help)")


@with_kvm
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--smp 2 --irqchip none", "2 processors need local APICs"),
        ("--smp 2 --irqchip user", "2 processors need local APICs"),
        ("--smp 999999", "999999 processors: this host's KVM gives a machine at most"),
    ],
)
def test_processors_that_cannot_be(
    pykvm_command: Pykvm, image: MakeImage, options: str, words: str
) -> None:
    assert_fails(pykvm_command("run", image(HALT), *options.split()), words)


def assert_fails(result: Result, *words: str) -> None:
    """One line that says all of `words`, and the status of a failure."""
    assert (result.status, result.out) == (FAILURE, b"")
    for word in words:
        assert word in result.complaint


@with_kvm
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", ("name is empty",)),
        ("missing.bin", ("missing.bin", "no such file", "bundled guest")),
        ("./missing.bin", ("./missing.bin", "No such file or directory")),
        ("helo", ("helo", "did you mean hello?")),
        (".", (".: ", "directory")),
        ("/dev/null", ("/dev/null", "regular file")),
        ("empty.bin", ("empty.bin", "empty")),
        ("fifo", ("fifo", "regular file")),
        ("no\nnewline/x", ("no newline/x: No such file or directory",)),
        ("x" * 300 + "/", ("File name too long",)),
    ],
)
def test_an_image_that_cannot_be_read(
    pykvm_command: Pykvm, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "empty.bin").touch()
    os.mkfifo(tmp_path / "fifo")
    assert_fails(pykvm_command("run", name), *words)


@with_kvm
def test_an_image_that_may_not_be_read(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(HALT)
    Path(path).chmod(0)
    assert_fails(pykvm_command("run", path, lacks=["unprivileged"]), path, "Permission denied")


@with_kvm
def test_an_image_that_is_too_large(pykvm_command: Pykvm, tmp_path: Path) -> None:
    for size in (1 << 17, 1 << 40):  # the second one could not even be read
        with (tmp_path / "large.bin").open("wb") as file:
            file.truncate(size)
        assert_fails(pykvm_command("run", "large.bin", "-m", "64K"), "64 KiB" if size < 1e9 else "")


def elf(*segments: tuple[int, int, int], entry: int = 0x100000, cut: int | None = None) -> bytes:
    """An ELF64 file; segments are (p_paddr, p_filesz, p_memsz)."""
    offset = 64 + 56 * len(segments)
    head = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, 1, 2, 62, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0,
    )  # fmt: skip
    table = b"".join(
        struct.pack("<IIQQQQQQ", 1, 5, offset, at, at, filesz, memsz, 0x1000)
        for at, filesz, memsz in segments
    )
    return (head + table + b"\xf4" * 64)[:cut]


@with_kvm
def test_the_elf_file_that_the_hostile_ones_are_made_of_runs(
    pykvm_command: Pykvm, image: MakeImage
) -> None:
    assert pykvm_command("run", image(elf((0x100000, 64, 64)))) == Result(0, b"", "")


@with_kvm
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(elf((0x100000, 64, 64), cut=10), id="cut in the header"),
        pytest.param(elf((0x100000, 64, 64), cut=90), id="cut in the segment table"),
        pytest.param(elf((0x100000, 64, 64), cut=150), id="cut in a segment"),
        pytest.param(elf(), id="no segment"),
        pytest.param(elf((0x100000, 64, 64), (0x100020, 64, 64)), id="overlap"),
        pytest.param(elf((0x100000, 64, 1 << 40)), id="larger than RAM"),
        pytest.param(elf((1 << 40, 64, 64), entry=1 << 40), id="outside RAM"),
        pytest.param(elf(((1 << 64) - 32, 64, 64)), id="wraps"),
        pytest.param(elf((0x100000, 64, 64), entry=0x200000), id="entry outside"),
    ],
)
def test_a_hostile_elf_file(pykvm_command: Pykvm, image: MakeImage, content: bytes) -> None:
    assert_fails(pykvm_command("run", image(content)), "ELF" if len(content) < 120 else "")


@with_kvm
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-m", "1K"], "at least 64 KiB"),
        (["-m", "65537"], "multiple of 4096"),
        (["-m", "1024T"], "times what this host has"),
        (["--load-addr", "0x100000000"], "out of real mode's reach"),
        (["--load-addr", "0xfffffff", "--mode", "long"], "not inside the guest's"),
        (["--entry", "0x9000"], "entry 0x9000 is outside the image"),
    ],
)
def test_a_machine_that_cannot_be_had(
    pykvm_command: Pykvm, image: MakeImage, words: list[str], complaint: str
) -> None:
    assert_fails(pykvm_command("run", image(HALT), *words), complaint)


LACKS = [
    (["no-kvm"], ["/dev/kvm is missing"]),
    (["null-kvm"], ["/dev/kvm is not a KVM device"]),
    (["forbidden-kvm"], ["may not open /dev/kvm", "group 54321", "usermod -aG"]),
    ([f"ioctl={KVM_CREATE_VM}:{errno.EBUSY}"], ["/dev/kvm is busy", "another hypervisor"]),
]


@with_kvm
@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        *LACKS,
        ([f"ioctl={KVM_CREATE_VM}:{errno.ENOMEM}"], ["KVM_CREATE_VM", "Cannot allocate memory"]),
        ([f"ioctl={KVM_CREATE_VCPU}:{errno.EINVAL}"], ["KVM_CREATE_VCPU", "Invalid argument"]),
        ([f"ioctl={KVM_RUN}:{errno.EFAULT}"], ["KVM_RUN", "Bad address"]),
        (["files=5"], ["Too many open files"]),
    ],
)
def test_a_host_that_lacks_something(
    pykvm_command: Pykvm, image: MakeImage, lacks: list[str], words: list[str]
) -> None:
    command = "run", "--accel", "kvm", image(HALT)
    assert_fails(pykvm_command(*command, lacks=lacks), *words)


@with_kvm
def test_a_host_without_another_thread(pykvm_command: Pykvm, image: MakeImage) -> None:
    lacks = [f"syscall={NR_CLONE3}:{errno.ENOSYS}", f"syscall={NR_CLONE}:{errno.EAGAIN}"]
    result = pykvm_command("run", image(HALT), lacks=lacks, stdin=b"x")
    assert_fails(result, "can't start new thread")


@with_kvm
def test_every_number_of_descriptors_is_enough_or_complained_of(
    pykvm_command: Pykvm, image: MakeImage
) -> None:
    statuses = []
    for count in range(5, 16):  # Python itself starts with five
        result = pykvm_command("run", image(PRINT_A), lacks=[f"files={count}"], stdin=b"x")
        statuses.append(result.status)
        if result.status:
            assert_fails(result, "")
        else:
            assert result == Result(0, b"A", "")
    assert {0, FAILURE} == set(statuses)
