"""One client's conversation: a packet in, replies out.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "Packets".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pykvm.errors import PykvmError
from pykvm.gdb import memory, resumes
from pykvm.gdb.answers import Answer, Leave
from pykvm.gdb.description import Description, choose
from pykvm.gdb.packets import (
    EINVAL,
    PacketError,
    from_hex,
    number,
    numbers,
    to_hex,
)
from pykvm.gdb.points import KINDS, Points
from pykvm.gdb.queries import Queries
from pykvm.gdb.registers import Register, State
from pykvm.gdb.resumes import parse_thread
from pykvm.gdb.stops import SIGTRAP, describe, stopped

if TYPE_CHECKING:
    from pykvm.debug.debugger import Debugger, Event, Point

OK = b"OK"
UNSUPPORTED = b""


class Session:
    """What one client has said so far.

    Args:
        debugger: its guest, which is stopped while packets are handled.
        description: the one to offer, whatever mode the guest is in; None: the mode's.

    Attributes:
        debugger: as given.
        description: the registers that this client counts on.
        processor: the one that registers and memory are looked at through.
        features: the stop reasons that it knows.
        wants_acks: whether packets are acknowledged.
    """

    def __init__(self, debugger: Debugger, description: Description | None = None) -> None:
        self.debugger = debugger
        self.description = description or choose(self.state(0))
        self.processor = 0
        self.features: frozenset[str] = frozenset()
        self.wants_acks = True
        self._points = Points(debugger)
        self._queries = Queries(self)
        self._continues: int | None = None
        self._stop = stopped(SIGTRAP, 0)
        self._commands: dict[bytes, Callable[[bytes], Answer | bytes]] = {
            b"?": lambda _: self._stop,
            b"g": self._read_registers,
            b"G": self._write_registers,
            b"p": self._read_register,
            b"P": self._write_register,
            b"m": self._read_memory,
            b"M": self._write_memory,
            b"X": self._write_binary,
            b"Z": self._insert,
            b"z": self._remove,
            b"H": self._choose_thread,
            b"T": self._is_alive,
            b"c": lambda rest: self._resume(b"c", rest),
            b"C": lambda rest: self._resume(b"C", rest),
            b"s": lambda rest: self._resume(b"s", rest),
            b"S": lambda rest: self._resume(b"S", rest),
            b"D": lambda _: Answer((OK,), Leave.DETACH),
            b"k": lambda _: Answer((), Leave.KILL),
            b"q": self._queries.ask,
            b"Q": self._queries.set,
            b"v": self._v,
        }

    @property
    def processors(self) -> int:
        """How many there are."""
        return len(self.debugger.machine.cpus)

    def state(self, processor: int) -> State:
        """A processor's registers."""
        return State(self.debugger.machine.cpus[processor].vcpu)

    def handle(self, packet: bytes) -> Answer:
        """Obey one packet; what cannot be obeyed is answered, never raised."""
        command = self._commands.get(packet[:1])
        if command is None:
            return Answer((UNSUPPORTED,))
        try:
            answer = command(packet[1:])
        except PacketError as error:
            answer = error.reply
        except PykvmError:
            answer = PacketError(EINVAL).reply
        return answer if isinstance(answer, Answer) else Answer((answer,))

    def tell(self, event: Event) -> bytes:
        """The stop reply for an event; its processor is the one that is looked at from now on."""
        self.processor = event.processor
        self._continues = None
        self._stop = describe(event, self.features)
        return self._stop

    def leave(self) -> None:
        """Take everything away that the client has left behind."""
        self._points.clear()

    def move_to(self, debugger: Debugger) -> Point | None:
        """Go on with a machine that has taken the old one's place.

        Returns:
            the breakpoint at its first instruction, if there is one: running would step over it.
        """
        self.debugger = debugger
        self._points.move_to(debugger)
        return self._points.breakpoint_at(self._counter.get(self.state(0)))

    @property
    def _counter(self) -> Register:
        (counter,) = (each for each in self.description.registers if each.is_program_counter)
        return counter

    # ---- registers

    def _read_registers(self, _: bytes) -> bytes:
        state = self.state(self.processor)
        return to_hex(b"".join(each.read(state) for each in self.description.registers))

    def _write_registers(self, digits: bytes) -> bytes:
        registers = self.description.registers
        data = from_hex(digits)
        if len(data) != sum(each.size for each in registers):
            raise PacketError(EINVAL, "not the size of all registers")
        values: list[tuple[Register, bytes]] = []
        for each in registers:
            values.append((each, data[: each.size]))
            data = data[each.size :]
        state = self.state(self.processor)
        # the program counter is told as a linear address, so the code segment comes first
        for each, value in sorted(values, key=lambda pair: pair[0].is_program_counter):
            each.write(state, value)
        state.store()
        return OK

    def _register(self, digits: bytes) -> Register:
        index = number(digits)
        if index >= len(self.description.registers):
            raise PacketError(EINVAL, f"no register {index}")
        return self.description.registers[index]

    def _read_register(self, digits: bytes) -> bytes:
        return to_hex(self._register(digits).read(self.state(self.processor)))

    def _write_register(self, rest: bytes) -> bytes:
        digits, _, value = rest.partition(b"=")
        register, data = self._register(digits), from_hex(value)
        if len(data) != register.size:
            raise PacketError(EINVAL, f"{register.name} has {register.size} bytes")
        state = self.state(self.processor)
        register.write(state, data)
        state.store()
        return OK

    # ---- memory

    def _read_memory(self, rest: bytes) -> bytes:
        return to_hex(memory.read(self.debugger, self.processor, *numbers(rest)))

    def _write_memory(self, rest: bytes) -> bytes:
        where, _, digits = rest.partition(b":")
        return self._write(where, from_hex(digits))

    def _write_binary(self, rest: bytes) -> bytes:
        where, _, data = rest.partition(b":")
        return self._write(where, data)

    def _write(self, where: bytes, data: bytes) -> bytes:
        address, length = numbers(where)
        if length != len(data):
            raise PacketError(EINVAL, f"{len(data)} bytes where {length} were announced")
        memory.write(self.debugger, self.processor, address, data)
        return OK

    # ---- points and threads

    def _insert(self, what: bytes) -> bytes:
        if what[:1] not in KINDS:
            return UNSUPPORTED
        self._points.insert(what)
        return OK

    def _remove(self, what: bytes) -> bytes:
        if what[:1] not in KINDS:
            return UNSUPPORTED
        self._points.remove(what)
        return OK

    def _choose_thread(self, rest: bytes) -> bytes:
        operation, thread = rest[:1], parse_thread(rest[1:], self.processors)
        if operation == b"c":
            self._continues = thread
        elif operation == b"g":
            if thread is not None:
                self.processor = thread
        else:
            raise PacketError(EINVAL, "neither Hc nor Hg")
        return OK

    def _is_alive(self, thread: bytes) -> bytes:
        parse_thread(thread, self.processors)
        return OK

    # ---- going on

    def _resume(self, letter: bytes, rest: bytes) -> Answer:
        address = resumes.with_signal(letter, rest)
        current = self.processor if self._continues is None else self._continues
        if address:
            self._jump(current, number(address))
        return Answer((), resumes.of_thread(self._continues, current, steps=letter in (b"s", b"S")))

    def _jump(self, processor: int, address: int) -> None:
        state = self.state(processor)
        if address >> self._counter.bits:
            raise PacketError(EINVAL, f"{address:#x} is no address in this mode")
        self._counter.set(state, address)
        state.store()

    def _v(self, rest: bytes) -> Answer | bytes:
        name, _, arguments = rest.partition(b";")
        match name:
            case b"Cont?":
                return resumes.ACTIONS
            case b"Cont":
                return Answer((), resumes.parse_vcont(arguments, self.processors))
            case b"Kill":
                return Answer((OK,), Leave.KILL)
            case _:
                return UNSUPPORTED
