"""What page tables, a walk and an entry into long mode must do: see README.md."""

from __future__ import annotations

import random
from typing import Any

from pykvm.labs.lab06_paging.building import (
    AT,
    LARGE,
    RW,
    SMALL,
    US,
    XD,
    Page,
    built,
    expect_mapped,
    make,
    some_page,
    tables_needed,
    told,
)
from pykvm.labs.lab06_paging.physical import GIB, MIB, Physical, canonical
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

WALK, LONG = "walk.py", "longmode.py"


@step("maps a page of 4 KiB", look="README.md, sections 1 and 2; SDM vol. 3A, 4.5")
def maps_small(work: Work) -> None:
    for _ in range(4):
        page = some_page(work, SMALL)
        blob = built(work, [page], AT + work.random.randrange(100) * SMALL)
        for offset in (0, work.random.randrange(SMALL), SMALL - 1):
            expect_mapped(blob, page, offset)
        expect(len(blob.data) // SMALL, 4, "how many tables one page of 4 KiB needs")


@step("maps a page of 2 MiB", look="README.md, section 2 (PS)")
def maps_large(work: Work) -> None:
    for _ in range(4):
        page = some_page(work, LARGE)
        blob = built(work, [page])
        for offset in (0, work.random.randrange(LARGE), LARGE - 1):
            expect_mapped(blob, page, offset)
        expect(len(blob.data) // SMALL, 3, "how many tables one page of 2 MiB needs")


@step("gives each page the rights that it asks for", look="README.md, section 2", after=maps_small)
def gives_rights(work: Work) -> None:
    choices = [sum(bits) for bits in ((), (RW,), (US,), (XD,), (RW, US), (RW, US, XD), (US, XD))]
    base = canonical(work.random.getrandbits(48) & -LARGE)
    # all in one page table: rights of one page must not be its neighbour's
    pages = [(base + SMALL * i, SMALL * (i + 9), SMALL, flags) for i, flags in enumerate(choices)]
    work.random.shuffle(pages)
    blob = built(work, pages)
    for page in pages:
        expect_mapped(blob, page, 0)
        found, flags = blob.walk(page[0]), page[3]
        for name, got, right in (
            ("written", found.writable, bool(flags & RW)),
            ("reached from ring 3", found.user, bool(flags & US)),
            ("executed", found.executable, not flags & XD),
        ):
            if got != right:
                raise Wrong(
                    f"{told(page)} {'can' if got else 'cannot'} be {name}.  A right must be given "
                    f"by every level, and XD be set in none: {found}"
                )


@step(
    "maps many pages, and nothing else", look="README.md, section 2", after=(maps_small, maps_large)
)
def maps_many(work: Work) -> None:
    area = work.random.getrandbits(48) & -GIB
    starts = {canonical(area + work.random.randrange(1 << 31) & -LARGE) for _ in range(12)}
    pages: list[Page] = []
    for i, start in enumerate(sorted(starts)):
        if i % 2:
            pages.append((start, i * LARGE, LARGE, RW))
        else:
            chosen = work.random.sample(range(512), 3)
            pages += [(start + SMALL * j, (j + 7) * SMALL, SMALL, RW) for j in chosen]
    work.random.shuffle(pages)
    blob = built(work, pages)
    for page in pages:
        expect_mapped(blob, page, work.random.randrange(page[2]))
    covered = {start for gva, _, size, _ in pages for start in range(gva, gva + size, SMALL)}
    for gva, _, size, _ in pages:
        for near in (gva - SMALL, gva + size):
            if near & -SMALL not in covered and blob.walk(near).gpa is not None:
                raise Wrong(f"nothing maps {near:#x}, yet the walk goes so: {blob.walk(near)}")
    expect(len(blob.data) // SMALL, tables_needed(pages), "how many tables these pages need")


@step("refuses what cannot be mapped", look="README.md, section 2", after=(maps_small, maps_large))
def refuses(work: Work) -> None:
    inside = LARGE + work.random.randrange(512) * SMALL
    large, small = (LARGE, 0, LARGE, RW), (inside, 0x5000, SMALL, RW)
    for pages, why in (
        ([(0x1800, 0x1000, SMALL, RW)], "gva is not aligned to its size"),
        ([(SMALL, 0x10, SMALL, RW)], "gpa is not aligned to its size"),
        ([(LARGE + SMALL, 0, LARGE, RW)], "gva is not aligned to its size"),
        ([(1 << 47, 0, SMALL, RW)], "gva is not canonical"),
        ([(0xFFFF << 48, 0, SMALL, RW)], "gva is not canonical: bits 63:47 have to be equal"),
        ([small, (inside, 0x6000, SMALL, RW)], "the same page twice"),
        ([large, small], "a small page in a large one"),
        ([small, large], "a large page over a small one"),
    ):
        how, _ = work.scenario(make, pages, AT)
        if how != "refused":
            raise Wrong(f"build([{', '.join(map(told, pages))}]) raised no ValueError: {why}")


def walk_all(student: Student, words: dict[int, int], cr3: int, gvas: list[int]) -> list[Any]:
    """What the student's `to_gpa` says to each."""
    to_gpa = student.get(WALK, "to_gpa")
    return [to_gpa(words.get, cr3, gva) for gva in gvas]


@step("walks from linear to physical addresses", look="README.md, section 3")
def walks(work: Work) -> None:
    pages = [page * SMALL for page in work.random.sample(range(1, 1 << 22), 300)]
    memory = Physical(work.random, pages)
    gvas: list[int] = []
    for size in (SMALL, SMALL, LARGE, GIB) * 6:
        gva = canonical(work.random.getrandbits(48) & -size)
        memory.map(gva, work.random.randrange(1 << 40) & -size, size)
        gvas += [gva, gva + size - 1, gva + work.random.randrange(size), gva ^ size]
    gone = canonical(work.random.getrandbits(48) & -SMALL)
    memory.map(gone, SMALL, SMALL)
    memory.forget(gone)
    lost = next(table for table in memory.tables[:0:-1])
    for i in range(512):
        del memory.words[lost + 8 * i]
    gvas += [gone, 1 << 47, gvas[0] ^ 1 << 63]
    answers = work.scenario(walk_all, memory.words, memory.cr3, gvas)
    for gva, answer in zip(gvas, answers, strict=True):
        right = memory.walk(gva)
        if answer != right.gpa or isinstance(answer, bool):
            got = f"{answer:#x}" if isinstance(answer, int) else repr(answer)
            raise Wrong(f"to_gpa of {gva:#x} gave {got}, the walk is: {right}")


@step("finds the host's address", look="README.md, section 4")
def finds_host(work: Work) -> None:
    slots = [(0, 10 * SMALL, 0x7F00_0000_0000), (4 * GIB, 6 * SMALL, 0x7E00_0000_3000)]
    work.random.shuffle(slots)
    for base, size, hva in slots:
        for gpa, right in (
            (base, hva),
            (base + size - 1, hva + size - 1),
            (base + size, None),
            (base + work.random.randrange(size), -1),
        ):
            wanted = hva + gpa - base if right == -1 else right
            what = f"to_hva({slots}, {gpa:#x})"
            expect(work.call(WALK, "to_hva", slots, gpa), wanted, what)


def read_through(student: Student, seed: int) -> list[tuple[int, int, Any, bytes | None]]:
    """(gva, length, what the student's `read_virtual` gives, what is right), on memory of this
    process."""
    import ctypes

    rolled = random.Random(seed)
    blocks = [(base, bytearray(rolled.randbytes(16 * SMALL))) for base in (0, 4 * GIB)]
    views = [(base, (ctypes.c_char * len(block)).from_buffer(block)) for base, block in blocks]
    slots = [(base, len(view), ctypes.addressof(view)) for base, view in views]

    def load(hva: int, length: int) -> bytes:
        if not any(start <= hva and hva + length <= start + size for _, size, start in slots):
            raise Wrong(f"load({hva:#x}, {length}): not all of that is the guest's memory")
        return ctypes.string_at(hva, length)

    pages = [base + i * SMALL for base, _ in blocks for i in range(16)]
    rolled.shuffle(pages)
    data, free = pages[:6], pages[6:]
    memory = Physical(rolled, free)
    gva = canonical(rolled.getrandbits(48) & -LARGE)
    for i, page in enumerate(data):
        memory.map(gva + i * SMALL, page, SMALL)
    memory.map(gva + 6 * SMALL, 64 * MIB, SMALL)  # mapped, but to no memory
    for address, word in memory.words.items():
        base, block = next(b for b in blocks[::-1] if b[0] <= address)
        block[address - base : address - base + 8] = word.to_bytes(8, "little")
    whole = b"".join(
        bytes(block[page - base : page - base + SMALL])
        for page in data
        for base, block in [next(b for b in blocks[::-1] if b[0] <= page)]
    )
    read_virtual = student.get(WALK, "read_virtual")
    found = []
    for start, length in (
        *((rolled.randrange(SMALL), rolled.randrange(1, 99)), (SMALL - 3, 7)),
        *((0, 6 * SMALL), (SMALL + 1, 3 * SMALL), (6 * SMALL - 4, 5), (7 * SMALL, 1), (-1, 2)),
    ):
        inside = start >= 0 and start + length <= len(whole)
        right = whole[start : start + length] if inside else None
        got = read_virtual(slots, load, memory.cr3, gva + start, length)
        found.append((gva + start, length, got, right))
    return found


@step(
    "reads a guest's memory by linear addresses",
    look="README.md, section 4",
    after=(walks, finds_host),
)
def reads(work: Work) -> None:
    found = work.scenario(read_through, work.random.getrandbits(32))
    for gva, length, got, right in found:
        expect(got, right, f"read_virtual of {length} bytes at {gva:#x}")


def look_at_sregs(student: Student, cr3: int) -> dict[str, Any]:
    """What the student's `enter` does to a new processor's registers."""
    from pykvm.kvm import System, Vcpu, Vm

    with System() as system, Vm(system) as vm, Vcpu(vm, 0) as vcpu:
        sregs = vcpu.get_sregs()
        student.get(LONG, "enter")(sregs, cr3)
        return {
            **{name: int(getattr(sregs, name)) for name in ("cr0", "cr3", "cr4", "efer")},
            **{name: dict(getattr(sregs, name)._asdict()) for name in ("cs", "ds", "es", "ss")},
        }


@step("sets the registers of long mode", look="README.md, section 5; SDM vol. 3A, 10.8.5")
def sets_registers(work: Work) -> None:
    cr3 = work.random.randrange(1, 1 << 10) << 12
    found = work.scenario(look_at_sregs, cr3)
    for register, bit, name in (
        *(("cr0", 0, "PE"), ("cr0", 31, "PG"), ("cr4", 5, "PAE")),
        *(("efer", 8, "LME"), ("efer", 10, "LMA"), ("efer", 11, "NXE")),
    ):
        if not found[register] >> bit & 1:
            raise Wrong(f"{register.upper()}.{name} (bit {bit}) is 0: {found[register]:#x}")
    expect(found["cr3"], cr3, "CR3")
    cs = found["cs"]
    expect((cs["l"], cs["db"]), (1, 0), "CS.L and CS.D: 64-bit code is L = 1, D = 0")
    if cs["type"] & 0b1000 == 0 or not (cs["s"] and cs["present"]):
        raise Wrong(f"CS is no present code segment: {cs}")
    expect(cs["selector"], 0x08, "CS's selector")
    for name in ("ds", "es", "ss"):
        expect(found[name]["selector"], 0x10, f"{name.upper()}'s selector")


def run_guest(
    student: Student, image: dict[int, bytes], cr3: int, entry: int, stack: int
) -> tuple[str, int]:
    """How a guest ends that the student's `enter` starts, and RAX."""
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.memory import Gpa

    with Machine("4M", irqchip="none", accel="kvm") as machine:
        machine.load(b"\xf4", bios=False)  # hlt: for the registers of a new processor
        for address, data in image.items():
            machine.memory.write(Gpa(address), data)
        vcpu: Any = machine.cpus[0].vcpu
        sregs = vcpu.get_sregs()
        student.get(LONG, "enter")(sregs, cr3)
        vcpu.set_sregs(sregs)
        regs = vcpu.get_regs()
        regs.rip, regs.rsp = entry, stack
        vcpu.set_regs(regs)
        try:
            end = machine.run(timeout=2).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
        return end, vcpu.get_regs().rax


@step(
    "runs a guest on the tables, in long mode",
    look="README.md, section 5",
    after=(maps_many, gives_rights, sets_registers),
)
def runs(work: Work) -> None:
    code, stack, word = (canonical(work.random.getrandbits(48) & -LARGE) for _ in range(3))
    value, at = work.random.getrandbits(64), work.random.randrange(0, SMALL - 8, 8)
    pages = [
        (code, 0x1000, SMALL, 0),
        (stack, 0x20_0000, LARGE, RW | XD),
        (word, 0x3000, SMALL, RW | XD),
    ]
    blob = built(work, pages)
    program = (
        b"\x48\xb8"
        + (word + at).to_bytes(8, "little")  # mov rax, ...
        + b"\x48\x8b\x00"  # mov rax, [rax]
        b"\x50"  # push rax
        b"\x31\xc0"  # xor eax, eax
        b"\x58"  # pop rax
        b"\xf4"  # hlt
    )
    image = {0x1000: program, 0x3000 + at: value.to_bytes(8, "little"), AT: blob.data}
    end, rax = work.scenario(run_guest, image, AT, code, stack + LARGE, seconds=8)
    expect(end, "halted", f"how a guest ends whose code is mapped at {code:#x}")
    expect(rax, value, f"RAX, which was loaded from {word + at:#x}, pushed and popped")
