"""Sinks deliver everything or say in one line why not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from pykvm.devices.sinks import BufferSink, FdSink, NullSink, Sink, TeeSink
from pykvm.errors import SinkError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe; a test may close either."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


def test_null_sink_takes_anything() -> None:
    sink: Sink = NullSink()
    sink.write(b"gone")


def test_buffer_keeps_all() -> None:
    sink = BufferSink()
    sink.write(b"ab")
    sink.write(b"")
    sink.write(b"c")
    assert sink.data == b"abc"
    assert sink.dropped == 0


def test_buffer_keeps_the_first_bytes_up_to_its_limit() -> None:
    sink = BufferSink(limit=4)
    for part in (b"abc", b"def", b"gh"):
        sink.write(part)
    assert sink.data == b"abcd"
    assert sink.dropped == 4


def test_tee_writes_to_all() -> None:
    first, second = BufferSink(), BufferSink()
    TeeSink(first, second).write(b"both")
    assert first.data == second.data == b"both"


def test_fd_sink_writes_to_the_descriptor(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    FdSink(writer, "a pipe").write(b"hello")
    assert os.read(reader, 100) == b"hello"


def test_fd_sink_goes_on_after_a_partial_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write_some(fd: int, data: memoryview) -> int:
        written.extend(data[:3])
        return min(3, len(data))

    monkeypatch.setattr("pykvm.devices.sinks.os.write", write_some)
    FdSink(1, "a slow device").write(b"hello, world")
    assert written == b"hello, world"


def test_fd_sink_waits_for_a_full_non_blocking_pipe(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    data = os.urandom(300_000)  # more than a pipe holds
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data):
            received.extend(os.read(reader, 65536))

    thread = threading.Thread(target=drain)
    thread.start()
    FdSink(writer, "a pipe").write(data)
    thread.join()
    assert received == data


def test_a_gone_reader_is_a_sink_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    with pytest.raises(SinkError, match=r"^cannot write to standard output: Broken pipe$"):
        FdSink(writer, "standard output").write(b"x")


def test_a_full_disk_is_a_sink_error() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(SinkError, match=r"^cannot write to out\.log: No space left"):
            FdSink(fd, "out.log").write(b"x")
    finally:
        os.close(fd)


def test_a_closed_descriptor_is_a_sink_error(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    os.close(writer)
    with pytest.raises(SinkError, match="Bad file descriptor"):
        FdSink(writer, "a log").write(b"x")
