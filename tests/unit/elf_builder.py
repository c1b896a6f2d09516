"""Builds ELF files, well-formed ones and others, from the System V ABI's field lists.

Shares no code with pykvm's loader: every field is written by its name, and any may be overridden.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PT_LOAD, PT_INTERP, PT_NOTE = 1, 3, 4

_EHDR = {
    32: "e_type:2 e_machine:2 e_version:4 e_entry:4 e_phoff:4 e_shoff:4 e_flags:4 e_ehsize:2 "
    "e_phentsize:2 e_phnum:2 e_shentsize:2 e_shnum:2 e_shstrndx:2",
    64: "e_type:2 e_machine:2 e_version:4 e_entry:8 e_phoff:8 e_shoff:8 e_flags:4 e_ehsize:2 "
    "e_phentsize:2 e_phnum:2 e_shentsize:2 e_shnum:2 e_shstrndx:2",
}
_PHDR = {
    32: "p_type:4 p_offset:4 p_vaddr:4 p_paddr:4 p_filesz:4 p_memsz:4 p_flags:4 p_align:4",
    64: "p_type:4 p_flags:4 p_offset:8 p_vaddr:8 p_paddr:8 p_filesz:8 p_memsz:8 p_align:8",
}
_SHDR = {
    bits: f"sh_name:4 sh_type:4 sh_flags:{w} sh_addr:{w} sh_offset:{w} sh_size:{w} sh_link:4 "
    f"sh_info:4 sh_addralign:{w} sh_entsize:{w}"
    for bits, w in ((32, 4), (64, 8))
}
SHDR_SIZE = {32: 40, 64: 64}
EHDR_SIZE = {32: 52, 64: 64}
PHDR_SIZE = {32: 32, 64: 56}


@dataclass
class Load:
    """One program header and the bytes it loads; None stands for the obvious value."""

    paddr: int
    data: bytes = b""
    vaddr: int | None = None
    memsz: int | None = None
    filesz: int | None = None
    offset: int | None = None
    type: int = PT_LOAD
    align: int = 1


@dataclass
class Section:
    """One section header and the bytes it names; `fields` overrides by the ABI's names."""

    type: int
    data: bytes = b""
    fields: dict[str, int] = field(default_factory=dict)


@dataclass
class Elf:
    """A file to be; `header` overrides fields of the ELF header by their names in the ABI.

    With `sections`, their headers stand at the end of the file, the last one names the names.
    """

    bits: int
    loads: list[Load]
    entry: int
    header: dict[str, int] = field(default_factory=dict)
    ident: bytes | None = None
    sections: list[Section] = field(default_factory=list)

    def build(self) -> bytes:
        """The file's bytes."""
        headers, body = bytearray(), bytearray()
        body_at = EHDR_SIZE[self.bits] + PHDR_SIZE[self.bits] * len(self.loads)
        for load in self.loads:
            values = {
                "p_type": load.type,
                "p_flags": 7,
                "p_offset": body_at + len(body) if load.offset is None else load.offset,
                "p_vaddr": load.paddr if load.vaddr is None else load.vaddr,
                "p_paddr": load.paddr,
                "p_filesz": len(load.data) if load.filesz is None else load.filesz,
                "p_memsz": len(load.data) if load.memsz is None else load.memsz,
                "p_align": load.align,
            }
            headers += _pack(_PHDR[self.bits], values)
            body += load.data
        section_headers = bytearray()
        for section in self.sections:
            values = dict.fromkeys((item.split(":")[0] for item in _SHDR[self.bits].split()), 0)
            values |= {"sh_type": section.type, "sh_offset": body_at + len(body)}
            values |= {"sh_size": len(section.data)}
            section_headers += _pack(_SHDR[self.bits], values | section.fields)
            body += section.data
        values = {
            "e_type": 2,
            "e_machine": {32: 3, 64: 62}[self.bits],
            "e_version": 1,
            "e_entry": self.entry,
            "e_phoff": EHDR_SIZE[self.bits],
            "e_shoff": body_at + len(body) if self.sections else 0,
            "e_flags": 0,
            "e_ehsize": EHDR_SIZE[self.bits],
            "e_phentsize": PHDR_SIZE[self.bits],
            "e_phnum": len(self.loads),
            "e_shentsize": SHDR_SIZE[self.bits] if self.sections else 0,
            "e_shnum": len(self.sections),
            "e_shstrndx": max(len(self.sections) - 1, 0),
        }
        ident = self.ident or b"\x7fELF" + bytes([self.bits // 32, 1, 1]) + bytes(9)
        header = ident + _pack(_EHDR[self.bits], values | self.header)
        return header + bytes(headers + body + section_headers)


def _pack(layout: str, values: dict[str, int]) -> bytes:
    packed = b""
    for item in layout.split():
        name, size = item.split(":")
        packed += values[name].to_bytes(int(size), "little")
    return packed
