"""Guest memory: random use against a bytearray, its bounds and hole, and what it leaves behind."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import pickle
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm import memory as memory_module
from pykvm.errors import GuestMemoryError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.memory import OVERCOMMIT, Gpa, GuestMemory, host_memory
from pykvm.x86 import PAGE_SIZE

SIZE = 4 * PAGE_SIZE
HUGE = 1 << 64


def near(*edges: int) -> st.SearchStrategy[int]:
    """Integers close to one of `edges`."""
    return st.builds(int.__add__, st.sampled_from(edges), st.integers(-9, 9))


addresses = st.integers(0, SIZE) | near(0, PAGE_SIZE, SIZE - PAGE_SIZE, SIZE, HUGE)
lengths = st.integers(0, 20) | near(0, PAGE_SIZE, 2 * PAGE_SIZE, SIZE, HUGE)
uses = st.one_of(
    st.tuples(st.just("read"), addresses, lengths),
    st.tuples(st.just("write"), addresses, st.binary(max_size=40)),
    st.tuples(st.just("view"), addresses, st.binary(max_size=40)),
    st.tuples(st.just("read_uint"), addresses, st.sampled_from([1, 2, 4, 8])),
    st.tuples(st.just("write_uint"), addresses, st.sampled_from([1, 2, 4, 8])),
    st.tuples(st.just("zero"), addresses, lengths),
)


def use(memory: GuestMemory, action: str, gpa: Gpa, operand: int | bytes) -> bytes | None:
    """Do one thing with the memory; returns what it read."""
    match action, operand:
        case "read", int():
            return memory.read(gpa, operand)
        case "write", bytes():
            memory.write(gpa, operand)
        case "view", bytes():
            with memory.view(gpa, len(operand)) as view:
                view[:] = operand
        case "read_uint", int():
            return memory.read_uint(gpa, operand).to_bytes(operand, "little")
        case "write_uint", int():
            memory.write_uint(gpa, operand, PATTERN & ((1 << 8 * operand) - 1))
        case "zero", int():
            memory.zero(gpa, operand)
    return None


PATTERN = 0xF7E6D5C4B3A29180


@settings(max_examples=150)
@given(program=st.lists(uses, max_size=25))
def test_random_use_equals_a_bytearray(program: list[tuple[str, int, int | bytes]]) -> None:
    model = bytearray(b"\xa5" * SIZE)
    with GuestMemory(SIZE) as memory:
        memory.write(Gpa(0), model)
        for action, gpa, operand in program:
            length = operand if isinstance(operand, int) else len(operand)
            inside = gpa >= 0 and length >= 0 and gpa + length <= SIZE
            assert memory.contains(gpa, length) is inside
            if not inside:
                with pytest.raises(GuestMemoryError):
                    use(memory, action, Gpa(gpa), operand)
                continue
            got = use(memory, action, Gpa(gpa), operand)
            if got is not None:
                assert got == model[gpa : gpa + length]
            elif isinstance(operand, bytes):
                model[gpa : gpa + length] = operand
            elif action == "write_uint":
                model[gpa : gpa + length] = PATTERN.to_bytes(8, "little")[:length]
            else:
                model[gpa : gpa + length] = bytes(length)
        assert memory.read(Gpa(0), SIZE) == model


def test_ram_starts_as_zeros() -> None:
    with GuestMemory(64 * KIB) as memory:
        assert memory.read(Gpa(0), 64 * KIB) == bytes(64 * KIB)


@pytest.mark.parametrize("gpa", [-1, -PAGE_SIZE, HUGE - 1, HUGE - PAGE_SIZE, HUGE, SIZE])
def test_an_address_that_would_wrap_is_outside(gpa: int) -> None:
    with GuestMemory(SIZE) as memory:
        for length in (1, PAGE_SIZE + 1, HUGE):
            assert not memory.contains(gpa, length)
            with pytest.raises(GuestMemoryError, match="not inside guest RAM"):
                memory.read(Gpa(gpa), length)


def test_a_write_that_does_not_fit_stores_nothing() -> None:
    with GuestMemory(PAGE_SIZE) as memory:
        with pytest.raises(GuestMemoryError):
            memory.write(Gpa(PAGE_SIZE - 2), b"abc")
        assert memory.read(Gpa(PAGE_SIZE - 2), 2) == b"\0\0"


@pytest.mark.parametrize(
    ("size", "value"), [(1, 256), (2, 1 << 16), (4, 1 << 32), (8, HUGE), (1, -1)]
)
def test_a_number_that_does_not_fit_is_refused(size: int, value: int) -> None:
    with GuestMemory(PAGE_SIZE) as memory:
        with pytest.raises(GuestMemoryError, match="does not fit"):
            memory.write_uint(Gpa(0), size, value)
        assert memory.read(Gpa(0), 8) == bytes(8)


def test_a_view_is_the_memory_itself() -> None:
    with GuestMemory(PAGE_SIZE) as memory, memory.view(Gpa(16), 4) as view:
        view[0] = 0x5A
        assert memory.read(Gpa(16), 2) == b"\x5a\0"
        memory.write(Gpa(17), b"\x77")
        assert view[1] == 0x77


def test_write_takes_any_buffer_by_its_bytes() -> None:
    with GuestMemory(PAGE_SIZE) as memory:
        memory.write(Gpa(0), memoryview(b"\1\2\3\4\5\6\7\x08").cast("I"))
        assert memory.read(Gpa(0), 9) == b"\1\2\3\4\5\6\7\x08\0"


@pytest.mark.parametrize("size", [3 * GIB + 64 * KIB, 5 * GIB])
def test_ram_goes_on_above_the_hole(size: int) -> None:
    with GuestMemory(size) as memory:
        end = HIGH_RAM_BASE + size - LOW_RAM_END
        assert [(r.gpa, r.end, r.offset) for r in memory.regions] == [
            (0, LOW_RAM_END, 0),
            (HIGH_RAM_BASE, end, LOW_RAM_END),
        ]
        assert (memory.low_end, memory.end) == (LOW_RAM_END, end)
        for gpa in (LOW_RAM_END - 4, HIGH_RAM_BASE, end - 4):
            memory.write(Gpa(gpa), gpa.to_bytes(8, "little")[:4])
            assert memory.read(Gpa(gpa), 4) == gpa.to_bytes(8, "little")[:4]
        for gpa, length in [
            (LOW_RAM_END - 1, 2),
            (LOW_RAM_END, 1),
            (HIGH_RAM_BASE - 1, 1),
            (HIGH_RAM_BASE - 1, 2),
            (end - 1, 2),
            (end, 1),
            (0, size),
        ]:
            assert not memory.contains(gpa, length)
            with pytest.raises(GuestMemoryError):
                memory.view(Gpa(gpa), length)
        # what the file holds behind the low part is what the guest sees above the hole
        assert os.pread(memory.fd, 4, LOW_RAM_END) == HIGH_RAM_BASE.to_bytes(8, "little")[:4]
        memory.zero(Gpa(HIGH_RAM_BASE), 64 * KIB)
        assert memory.read(Gpa(HIGH_RAM_BASE), 4) == bytes(4)
        assert memory.read_uint(Gpa(LOW_RAM_END - 4), 4) == LOW_RAM_END - 4


@pytest.mark.parametrize("size", [64 * KIB, 3 * GIB])
def test_ram_up_to_the_hole_is_one_region(size: int) -> None:
    with GuestMemory(size) as memory:
        assert [(r.gpa, r.size) for r in memory.regions] == [(0, size)]


def test_more_ram_than_the_host_has_costs_nothing_until_it_is_touched() -> None:
    size = host_memory() // GIB * GIB + 2 * GIB
    with GuestMemory(size) as memory:
        memory.write_uint(Gpa(memory.end - 8), 8, PATTERN)
        assert memory.read_uint(Gpa(memory.end - 8), 8) == PATTERN
        assert os.fstat(memory.fd).st_blocks * 512 <= 64 * KIB


def test_zero_gives_whole_pages_back_to_the_host() -> None:
    with GuestMemory(MIB) as memory:
        memory.write(Gpa(0), b"\xff" * MIB)
        full = os.fstat(memory.fd).st_blocks
        memory.zero(Gpa(100), MIB - 200)
        assert os.fstat(memory.fd).st_blocks < full // 8
        assert memory.read(Gpa(0), 101) == b"\xff" * 100 + b"\0"
        assert memory.read(Gpa(MIB - 101), 101) == b"\0" + b"\xff" * 100


@pytest.mark.parametrize("size", [0, -PAGE_SIZE, 1, PAGE_SIZE + 1, 64 * KIB - 1])
def test_a_size_that_is_no_whole_number_of_pages_is_refused(size: int) -> None:
    with pytest.raises(GuestMemoryError, match="positive multiple of 4096"):
        GuestMemory(size)


def test_a_terabyte_is_a_slip_of_the_pen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_module, "host_memory", lambda: 16 * GIB)
    with pytest.raises(GuestMemoryError, match=r"1 TiB is more than 8 times .* at most 128 GiB"):
        GuestMemory(1 << 40)


def test_the_limit_is_the_hosts_own() -> None:
    with pytest.raises(GuestMemoryError, match="more than 8 times"):
        GuestMemory(OVERCOMMIT * host_memory() + PAGE_SIZE)


def test_another_mapping_of_the_file_shares_the_memory() -> None:
    with GuestMemory(SIZE) as memory, mmap.mmap(memory.fd, SIZE) as second:
        memory.write(Gpa(PAGE_SIZE), b"from the first")
        assert second[PAGE_SIZE : PAGE_SIZE + 14] == b"from the first"
        second[:6] = b"second"
        assert memory.read(Gpa(0), 6) == b"second"


def mappings() -> int:
    """How many mappings of guest RAM this process has."""
    return Path("/proc/self/maps").read_text(encoding="utf-8").count("pykvm-guest-ram")


def test_closing_leaves_nothing_and_may_be_repeated() -> None:
    process = psutil.Process()
    before = process.num_fds(), mappings()
    memory = GuestMemory(4 * GIB)
    assert mappings() == before[1] + 2
    memory.close()
    memory.close()
    assert (process.num_fds(), mappings()) == before
    assert not memory.contains(0, 1)
    with pytest.raises(GuestMemoryError):
        memory.read(Gpa(0), 1)


def test_a_live_view_keeps_its_mapping_until_it_goes() -> None:
    process = psutil.Process()
    before = process.num_fds(), mappings()
    memory = GuestMemory(PAGE_SIZE)
    view = memory.view(Gpa(0), 4)
    memory.close()
    view[:] = b"safe"
    assert bytes(view) == b"safe"
    del view
    assert (process.num_fds(), mappings()) == before


def test_a_buffer_taken_from_a_regions_view_does_not_stop_closing() -> None:
    process = psutil.Process()
    before = process.num_fds(), mappings()
    memory = GuestMemory(4 * GIB)
    export = pickle.PickleBuffer(memory.regions[0].view)
    memory.close()
    assert (memory.fd, memory.regions) == (-1, ())
    assert mappings() == before[1] + 1
    export.release()
    del export
    assert (process.num_fds(), mappings()) == before


@pytest.mark.parametrize("call", ["os.memfd_create", "os.ftruncate", "mmap.mmap"])
def test_a_failure_of_the_host_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    process = psutil.Process()
    before = process.num_fds(), mappings()
    monkeypatch.setattr(call, fail)
    with pytest.raises(GuestMemoryError, match=r"cannot map 64 KiB .*: Cannot allocate memory"):
        GuestMemory(64 * KIB)
    monkeypatch.undo()
    assert (process.num_fds(), mappings()) == before


def test_the_second_mapping_failing_undoes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    real = mmap.mmap

    def fail_high(fd: int, length: int, *, offset: int = 0) -> mmap.mmap:
        if offset:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real(fd, length, offset=offset)

    process = psutil.Process()
    before = process.num_fds(), mappings()
    monkeypatch.setattr(mmap, "mmap", fail_high)
    with pytest.raises(GuestMemoryError, match="cannot map 4 GiB"):
        GuestMemory(4 * GIB)
    assert (process.num_fds(), mappings()) == before


def test_forgetting_a_mapping_keeps_what_the_page_holds() -> None:
    with GuestMemory(5 << 30) as memory:
        for page in (0x5000, (4 << 30) + 0x5000):
            memory.write(Gpa(page), b"kept")
            assert resident(memory, page)
            memory.forget_mapping(Gpa(page))
            assert not resident(memory, page)
            assert memory.read(Gpa(page), 4) == b"kept"


@pytest.mark.parametrize("page", [3 << 30, (3 << 30) - 0x800, 1 << 40])
def test_only_ram_has_a_mapping_to_forget(page: int) -> None:
    with GuestMemory(5 << 30) as memory, pytest.raises(GuestMemoryError, match="not inside"):
        memory.forget_mapping(Gpa(page))


def resident(memory: GuestMemory, page: int) -> bool:
    """Whether this process has a page table entry for a guest page (proc(5), pagemap: bit 63)."""
    with memory.view(Gpa(page), 4096) as view:
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(address // 4096 * 8)
        return int.from_bytes(pagemap.read(8), "little") >> 63 == 1
