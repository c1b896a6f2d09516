"""Core files, read back by pyelftools and field by field."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykvm.debug import corefile, mappings
from pykvm.debug.corefile import PHYSICAL_WINDOW, PT_PHYSICAL, check_target, write_core
from pykvm.errors import CoreError
from pykvm.kvm.registers import Sregs
from pykvm.layout import HIGH_RAM_BASE, LOW_RAM_END, MIB
from pykvm.memory import Gpa, GuestMemory, host_memory
from pykvm.x86 import PAGE_SIZE
from tests.support.cores import LONG, NT_PRSTATUS, PAGED, PROTECTED, REAL, Core, core_of, cpu


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(16 * PAGE_SIZE) as ram:
        yield ram


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "core"


@pytest.mark.parametrize(
    ("sregs", "bits", "machine"),
    [(REAL, 32, "EM_386"), (PROTECTED, 32, "EM_386"), (LONG, 64, "EM_X86_64")],
)
def test_the_class_is_that_of_the_code(
    path: Path, memory: GuestMemory, sregs: Sregs, bits: int, machine: str
) -> None:
    core = core_of(path, memory, cpu(sregs))
    assert (core.bits, core.machine, core.kind) == (bits, machine, "ET_CORE")


def test_one_processor_in_long_mode_is_enough(path: Path, memory: GuestMemory) -> None:
    core = core_of(path, memory, cpu(REAL, 1), cpu(LONG, 0, r15=7))
    assert core.bits == 64
    first, second = core.all(b"CORE", NT_PRSTATUS)
    assert struct.unpack_from("<I", first, 32) == (2,)
    assert struct.unpack_from("<I", second, 32) == (1,)
    assert struct.unpack_from("<Q", second, 112) == (7,)


def test_without_paging_memory_is_where_it_is(path: Path, memory: GuestMemory) -> None:
    memory.write(Gpa(0x3456), b"here")
    core = core_of(path, memory, cpu(PROTECTED))
    assert [(x.type, x.vaddr, x.paddr, x.size) for x in core.loads] == [
        ("PT_LOAD", 0, 0, memory.size)
    ]
    assert core.at(0x3456, 4) == b"here"


def test_with_paging_memory_is_where_it_is_mapped(path: Path, memory: GuestMemory) -> None:
    tables = {0x1FF8: 0x2001, 0x2FF0: 0x3001, 0x3000: 0x4001, 0x4008: 0x5001, 0x4010: 0x6001}
    for place, entry in tables.items():
        memory.write_uint(Gpa(place), 8, entry)
    memory.write(Gpa(0x5FFE), b"here")
    core = core_of(path, memory, cpu(LONG))
    window, mapped = core.loads
    assert window[:4] == ("PT_LOAD", PHYSICAL_WINDOW, 0, memory.size)
    assert mapped[:4] == ("PT_LOAD", 0xFFFF_FFFF_8000_1000, 0x5000, 2 * PAGE_SIZE)
    assert core.at(0xFFFF_FFFF_8000_1FFE, 4) == b"here"
    assert core.at(PHYSICAL_WINDOW + 0x5FFE, 4) == b"here"
    assert core.at(0x5FFE, 4) == b""


def test_32_bit_paging_leaves_no_room_for_a_window(path: Path, memory: GuestMemory) -> None:
    memory.write_uint(Gpa(0x1C00), 4, 0x2001)
    memory.write_uint(Gpa(0x2000), 4, 0x5001)
    memory.write(Gpa(0x5000), b"here")
    core = core_of(path, memory, cpu(PAGED))
    assert [x[:4] for x in core.loads] == [
        (PT_PHYSICAL, 0, 0, memory.size),
        ("PT_LOAD", 0xC000_0000, 0x5000, PAGE_SIZE),
    ]
    assert core.at(0xC000_0000, 4) == b"here"


def test_too_many_mappings_are_told(
    path: Path, memory: GuestMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings, "MOST_RANGES", 1)
    memory.write_uint(Gpa(0x1000), 4, 0x2001)
    memory.write(Gpa(0x2000), struct.pack("<II", 0x5001, 0x7001))
    assert not write_core(str(path), [cpu(PAGED)], memory)
    assert len(Core(path).loads) == 2


@pytest.mark.parametrize("sregs", [PROTECTED, LONG])
def test_ram_on_both_sides_of_the_hole(path: Path, sregs: Sregs) -> None:
    size = LOW_RAM_END + 2 * MIB
    if size > 4 * host_memory():
        pytest.skip("this host cannot map so much")
    with GuestMemory(size) as memory:
        memory.write(Gpa(LOW_RAM_END - 4), b"low!")
        memory.write(Gpa(HIGH_RAM_BASE + MIB), b"high")
        core = core_of(path, memory, cpu(sregs))
    assert core.bits == 64  # some of it is beyond what ELF32 can tell
    low, high = core.loads[:2]
    assert (low.paddr, low.size) == (0, LOW_RAM_END)
    assert (high.paddr, high.size) == (HIGH_RAM_BASE, 2 * MIB)
    assert high.vaddr == HIGH_RAM_BASE + (PHYSICAL_WINDOW if sregs is LONG else 0)
    with path.open("rb") as file:
        for load, start, content in ((low, LOW_RAM_END - 4, b"low!"), (high, MIB, b"high")):
            file.seek(load.offset + start)
            assert file.read(4) == content
    assert path.stat().st_blocks * 512 < MIB


@pytest.mark.parametrize("huge", [False, True])
def test_what_is_zero_takes_no_room(path: Path, huge: bool) -> None:
    with GuestMemory(64 * MIB, huge=huge) as memory:
        memory.write(Gpa(0), bytes(8 * MIB))
        memory.write(Gpa(9 * MIB + 5), b"x")
        core_of(path, memory, cpu(PROTECTED))
    with path.open("rb") as file:
        assert os.fstat(file.fileno()).st_size > 64 * MIB
        assert os.fstat(file.fileno()).st_blocks * 512 < 64 * 1024


def test_memory_nobody_touched_stays_so(path: Path) -> None:
    with GuestMemory(64 * MIB) as memory:
        memory.write(Gpa(MIB), b"x")
        before = os.fstat(memory.fd).st_blocks
        core_of(path, memory, cpu(PROTECTED))
        assert os.fstat(memory.fd).st_blocks == before


PAGES = 24


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(
        st.tuples(st.integers(0, PAGES * PAGE_SIZE - 1), st.binary(max_size=3 * PAGE_SIZE)),
        max_size=8,
    ),
    huge=st.booleans(),
    chunk=st.integers(1, PAGES + 1),
)
def test_all_of_memory_is_in_it(
    path: Path, writes: list[tuple[int, bytes]], huge: bool, chunk: int
) -> None:
    with GuestMemory(PAGES * PAGE_SIZE, huge=huge) as memory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(corefile, "_CHUNK", chunk * PAGE_SIZE)
        for at, data in writes:
            memory.write(Gpa(at), data[: memory.size - at])
        core = core_of(path, memory, cpu(REAL))
        assert core.at(0, memory.size) == memory.read(Gpa(0), memory.size)


def test_only_its_owner_reads_it_and_it_replaces_what_was_there(
    path: Path, memory: GuestMemory
) -> None:
    path.write_bytes(b"old")
    link = path.with_name("link")
    link.symlink_to(path)
    write_core(str(link), [cpu(REAL)], memory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert link.is_symlink()
    assert Core(path).bits == 32
    assert sorted(os.listdir(path.parent)) == ["core", "link"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_nothing(
    path: Path, memory: GuestMemory, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> int:
        raise error

    path.write_bytes(b"old")
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises((CoreError, KeyboardInterrupt)) as caught:
        write_core(str(path), [cpu(REAL)], memory)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["core"]
    if isinstance(error, OSError):
        assert str(caught.value) == f"{path}: no core could be written: No space left on device"


def test_short_writes_go_on(
    path: Path, memory: GuestMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.write(Gpa(0), bytes(range(1, 256)) * 100)
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, data[:1000], at))
    assert core_of(path, memory, cpu(REAL)).at(0, 25500) == bytes(range(1, 256)) * 100


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    wrong = {
        "": "empty",
        "a\0b": "no file can be named so",
        str(tmp_path): "is a directory",
        str(tmp_path / "fifo"): "is not a regular file",
        "/dev/null": "is not a regular file",
        str(tmp_path / "missing" / "core"): f"there is no directory {tmp_path}/missing",
    }
    for name, words in wrong.items():
        with pytest.raises(CoreError, match=words) as caught:
            check_target(name)
        assert "\n" not in str(caught.value)
    check_target(str(tmp_path / "core"))
    assert os.listdir(tmp_path) == ["fifo"]
