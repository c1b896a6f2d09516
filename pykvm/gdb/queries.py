"""General queries: what the server can do, which threads there are, documents, the monitor.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "General Query Packets".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm.errors import PykvmError
from pykvm.gdb.answers import Answer
from pykvm.gdb.monitor import Monitor
from pykvm.gdb.packets import (
    EINVAL,
    PACKET_SIZE,
    PacketError,
    escape,
    from_hex,
    numbers,
    to_hex,
)
from pykvm.gdb.resumes import parse_thread
from pykvm.gdb.stops import thread_id

if TYPE_CHECKING:
    from pykvm.gdb.session import Session

_STOP_REASONS = ("swbreak", "hwbreak")
_OFFERED = (
    f"PacketSize={PACKET_SIZE:x};QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;"
    "qXfer:features:read+;qXfer:memory-map:read+;qXfer:threads:read+"
).encode("ascii")
_PIECE = PACKET_SIZE // 2 - 1
"""Bytes of a document, or of the monitor's words, that fit into a packet whatever they are."""

_STATES = {1: "waits for INIT", 2: "waits for SIPI", 3: "halted", 4: "starting", 9: "waits"}


class Queries:
    """Answers `q` and `Q` packets for a session.

    Args:
        session: whose.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._monitor = Monitor(session)
        self._plain: dict[bytes, Callable[[], bytes]] = {
            b"C": lambda: b"QC" + thread_id(session.processor).encode("ascii"),
            b"Attached": lambda: b"1",
            b"fThreadInfo": self._threads,
            b"sThreadInfo": lambda: b"l",
        }
        self._documents: dict[bytes, Callable[[bytes], str]] = {
            b"features": self._description,
            b"memory-map": lambda annex: _only(annex, b"", self._memory_map),
            b"threads": lambda annex: _only(annex, b"", self._thread_list),
        }

    def ask(self, query: bytes) -> Answer | bytes:
        """Answer `qQUERY`; what is not known is answered by nothing, as the protocol wants it."""
        name, _, rest = query.partition(b":")
        if name == b"Supported":
            return self._supported(rest)
        if name == b"Xfer":
            return self._transfer(rest)
        if name.startswith(b"ThreadExtraInfo,"):
            return self._thread_info(name.partition(b",")[2])
        if name.startswith(b"Rcmd,"):
            return self._command(name.partition(b",")[2])
        answer = self._plain.get(name)
        return b"" if answer is None else answer()

    def set(self, name: bytes) -> bytes:
        """Obey `QNAME`."""
        if name != b"StartNoAckMode":
            return b""
        self._session.wants_acks = False
        return b"OK"

    def _supported(self, features: bytes) -> bytes:
        told = {each.decode("ascii", "replace") for each in features.split(b";")}
        self._session.features = frozenset(r for r in _STOP_REASONS if f"{r}+" in told)
        return _OFFERED

    # ---- threads

    def _threads(self) -> bytes:
        ids = ",".join(thread_id(i) for i in range(self._session.processors))
        return f"m{ids}".encode("ascii")

    def _thread_info(self, thread: bytes) -> bytes:
        processor = parse_thread(thread, self._session.processors)
        if processor is None:
            raise PacketError(EINVAL, "information is of one thread")
        return to_hex(f"vcpu{processor}: {self._doing(processor)}".encode("ascii"))

    def _doing(self, processor: int) -> str:
        """A processor's mode, and why it executes nothing where it does not."""
        cpu = self._session.debugger.machine.cpus[processor]
        words = ""
        with suppress(PykvmError):
            words = f"{cpu.snapshot().mode.value} mode"
            state = _STATES.get(int(cpu.vcpu.get_mp_state()))
            if state is not None:
                words += f", {state}"
        return words

    # ---- documents

    def _transfer(self, rest: bytes) -> bytes:
        fields = rest.split(b":")
        if len(fields) != 4 or fields[1] != b"read":
            return b""
        document = self._documents.get(fields[0])
        if document is None:
            return b""
        offset, length = numbers(fields[3])
        data = document(fields[2]).encode("ascii")
        piece = data[offset : offset + min(length, _PIECE)]
        more = offset + len(piece) < len(data)
        return (b"m" if more else b"l") + escape(piece)

    def _description(self, annex: bytes) -> str:
        return _only(annex, b"target.xml", lambda: self._session.description.xml)

    def _memory_map(self) -> str:
        """All addresses a debugger can name: they are linear, so page tables say what is there.

        A map of physical memory would have it refuse kernels' addresses, and pages mapped later.
        """
        bits = self._session.description.address_bits
        # of 64 bits, the last byte cannot be named: the length would have 65
        length = min(1 << bits, (1 << 64) - 1)
        return (
            '<?xml version="1.0"?>\n<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory '
            'Map V1.0//EN" "http://sourceware.org/gdb/gdb-memory-map.dtd">\n<memory-map>\n'
            f'<memory type="ram" start="0x0" length="{length:#x}"/>\n</memory-map>\n'
        )

    def _thread_list(self) -> str:
        threads = [
            f'<thread id="{thread_id(i)}" name="vcpu{i}">{self._doing(i)}</thread>'
            for i in range(self._session.processors)
        ]
        return "\n".join(('<?xml version="1.0"?>', "<threads>", *threads, "</threads>", ""))

    # ---- the monitor

    def _command(self, digits: bytes) -> Answer:
        words = self._monitor.run(from_hex(digits).decode("utf-8", "replace")).encode()
        pieces = [words[i : i + _PIECE] for i in range(0, len(words), _PIECE)]
        return Answer((*(b"O" + to_hex(piece) for piece in pieces), b"OK"))


def _only(annex: bytes, wanted: bytes, document: Callable[[], str]) -> str:
    """A document that there is one of."""
    if annex != wanted:
        raise PacketError(0, "no such annex")
    return document()
