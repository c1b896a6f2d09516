"""Reads ACPI tables out of RAM as a kernel does, written anew from the specification."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from pykvm.boot.state import Piece


class Ram:
    """Physical memory that holds the pieces; other reads fail."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = tuple(pieces)

    def read(self, address: int, length: int) -> bytes:
        for piece in self.pieces:
            if piece.gpa <= address and address + length <= piece.end:
                start = address - piece.gpa
                return bytes(piece.data[start : start + length])
        raise AssertionError(f"{length} bytes at {address:#x} are in no piece")

    def number(self, address: int, length: int) -> int:
        return int.from_bytes(self.read(address, length), "little")

    def search(self, signature: bytes, start: int, end: int) -> int:
        """The first multiple of 16 in the area at which the signature is."""
        for piece in self.pieces:
            for address in range(max(start, piece.gpa), min(end, piece.end), 16):
                if self.read(address, min(len(signature), piece.end - address)) == signature:
                    return address
        raise AssertionError(f"no {signature!r} from {start:#x} to {end:#x}")


class Table(NamedTuple):
    address: int
    signature: bytes
    revision: int
    data: bytes

    def number(self, offset: int, length: int) -> int:
        return int.from_bytes(self.data[offset : offset + length], "little")

    def register(self, offset: int) -> tuple[int, ...]:
        """Space, width, bit offset, access size and address of a Generic Address Structure."""
        return struct.unpack_from("<BBBBQ", self.data, offset)


def table_at(ram: Ram, address: int) -> Table:
    data = ram.read(address, ram.number(address + 4, 4))
    assert sum(data) % 256 == 0, f"the checksum of {data[:4]!r}"
    return Table(address, data[:4], data[8], data)


def tables_from(ram: Ram, rsdp: int) -> dict[bytes, Table]:
    """All tables that can be reached, by way of both root tables, which must agree."""
    pointer = ram.read(rsdp, 36)
    assert pointer[:8] == b"RSD PTR "
    assert sum(pointer[:20]) % 256 == 0
    assert sum(pointer) % 256 == 0
    assert pointer[15] == 2
    assert struct.unpack_from("<I", pointer, 20) == (36,)
    rsdt = table_at(ram, struct.unpack_from("<I", pointer, 16)[0])
    xsdt = table_at(ram, struct.unpack_from("<Q", pointer, 24)[0])
    assert (rsdt.signature, xsdt.signature) == (b"RSDT", b"XSDT")
    by_32 = [entry for (entry,) in struct.iter_unpack("<I", rsdt.data[36:])]
    by_64 = [entry for (entry,) in struct.iter_unpack("<Q", xsdt.data[36:])]
    assert by_32 == by_64
    found = [rsdt, xsdt, *(table_at(ram, address) for address in by_64)]
    (fadt,) = (table for table in found if table.signature == b"FACP")
    found.append(table_at(ram, fadt.number(40, 4)))
    tables = {table.signature: table for table in found}
    assert len(tables) == len(found)
    return tables


def madt_entries(madt: Table) -> list[tuple[int, bytes]]:
    """The structures behind the MADT's fixed part: type, and what follows type and length."""
    entries, at = [], 44
    while at < len(madt.data):
        kind, length = madt.data[at : at + 2]
        assert length >= 2
        assert at + length <= len(madt.data)
        entries.append((kind, madt.data[at + 2 : at + length]))
        at += length
    return entries


class Aml:
    """Decodes as much of AML as data needs: names, scopes, devices, packages, buffers.

    Attributes:
        names: the value of each named object, by its full path.
        devices: the full paths of all devices.
    """

    def __init__(self, code: bytes) -> None:
        self.names: dict[str, object] = {}
        self.devices: list[str] = []
        self._code = code
        self._terms(0, len(code), "\\")

    def _terms(self, at: int, end: int, where: str) -> None:
        while at < end:
            op = self._code[at]
            if op == 0x08:
                at, path = self._name(at + 1, where)
                at, value = self._value(at)
                assert path not in self.names
                self.names[path] = value
            elif op == 0x10 or self._code[at : at + 2] == b"\x5b\x82":
                start = at + (1 if op == 0x10 else 2)
                inside, after = self._package_length(start)
                inside, path = self._name(inside, where)
                if op != 0x10:
                    assert path not in self.devices
                    self.devices.append(path)
                self._terms(inside, after, path)
                at = after
            else:
                raise AssertionError(f"opcode {op:#x} at {at:#x}")
        assert at == end

    def _package_length(self, at: int) -> tuple[int, int]:
        """Where the content begins, and where the package ends."""
        lead = self._code[at]
        more = lead >> 6
        length = lead & 0x3F
        if more:
            assert not lead & 0x30
            length = lead & 0xF
            for i in range(more):
                length |= self._code[at + 1 + i] << (4 + 8 * i)
        assert at + length <= len(self._code)
        return at + 1 + more, at + length

    def _name(self, at: int, where: str) -> tuple[int, str]:
        base = where
        if self._code[at : at + 1] == b"\\":
            at, base = at + 1, "\\"
        count = 1
        if self._code[at] == 0x00:
            return at + 1, base
        if self._code[at] == 0x2E:
            at, count = at + 1, 2
        elif self._code[at] == 0x2F:
            at, count = at + 2, self._code[at + 1]
        names = self._code[at : at + 4 * count].decode()
        path = ".".join(names[i : i + 4] for i in range(0, len(names), 4))
        return at + 4 * count, base + ("" if base == "\\" else ".") + path

    def _value(self, at: int) -> tuple[int, object]:
        op = self._code[at]
        if op in (0, 1):
            return at + 1, op
        if op in (0x0A, 0x0B, 0x0C, 0x0E):
            size = {0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0E: 8}[op]
            return at + 1 + size, int.from_bytes(self._code[at + 1 : at + 1 + size], "little")
        if op == 0x0D:
            end = self._code.index(0, at)
            return end + 1, self._code[at + 1 : end].decode()
        if op == 0x11:
            inside, after = self._package_length(at + 1)
            inside, count = self._value(inside)
            assert count == after - inside
            return after, self._code[inside:after]
        if op == 0x12:
            inside, after = self._package_length(at + 1)
            elements: list[object] = []
            at = inside + 1
            while at < after:
                at, element = self._value(at)
                elements.append(element)
            assert (at, len(elements)) == (after, self._code[inside])
            return after, elements
        raise AssertionError(f"value {op:#x} at {at:#x}")


def resources(data: object) -> tuple[list[tuple[int, int]], list[int]]:
    """The I/O ports (base, count) and interrupts of a buffer of small resource descriptors."""
    assert isinstance(data, bytes)
    ports, irqs, at = [], [], 0
    while data[at] != 0x79:
        tag, length = data[at] >> 3, data[at] & 7
        body = data[at + 1 : at + 1 + length]
        if tag == 0x08:
            decode, low, high, alignment, count = struct.unpack("<BHHBB", body)
            assert (decode, alignment) == (1, 1)
            assert low == high
            ports.append((low, count))
        elif tag == 0x04:
            assert length == 2  # edge-triggered, active high
            mask = int.from_bytes(body, "little")
            irqs += [i for i in range(16) if mask >> i & 1]
        else:
            raise AssertionError(f"descriptor {tag:#x}")
        at += 1 + length
    assert at + 2 == len(data)
    return ports, irqs
