"""What a canvas must do, and a driver that draws on one: see README.md."""

from __future__ import annotations

from random import Random

from pykvm.labs.lab07_mmio.acts import LOOK, Act, perform, read, write
from pykvm.labs.lab07_mmio.drawing import Drawn, draw, draw_together, meet
from pykvm.labs.lab07_mmio.model import (
    EXTENT,
    FAULTS,
    FILL,
    FLIP,
    ID,
    LENGTH,
    MAGIC,
    ORIGIN,
    PIXELS,
    SIZE,
    both,
    difference,
    picture,
)
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.work import Work

DRIVER = "draw.s"
WIDTHS = (1, 2, 4, 8)
MOST_ACCESSES = 200
UNALIGNED = (
    ".  (This guest is emulated: so comes a store of 8 bytes, too, that is not at a multiple of 8)"
)
PATIENCE = 3
"""Seconds for all fills of a hostile guest: clipped they take milliseconds."""


def some_size(random: Random) -> tuple[int, int]:
    """Columns and rows: odd numbers of columns, so that rows begin at any address."""
    return random.randrange(21, 50, 2), random.randrange(12, 30)


def shown(act: Act) -> list[Act]:
    """An act, and how it looks: to see the back buffer, it becomes the front one."""
    return [act, write(FLIP, 0), LOOK]


def fill(random: Random, left: int, top: int, columns: int, rows: int) -> list[Act]:
    """A rectangle in some colour; bits 31:8 of FILL mean nothing."""
    return [
        write(ORIGIN, both(left, top)),
        write(EXTENT, both(columns, rows)),
        *shown(write(FILL, random.getrandbits(32))),
    ]


@step("says what it is, and keeps ORIGIN and EXTENT", look="README.md, section 2")
def has_registers(work: Work) -> None:
    one, two = work.random.getrandbits(32), work.random.getrandbits(32)
    acts = [*map(read, (ID, SIZE, FLIP, FAULTS)), write(ORIGIN, one), write(EXTENT, two)]
    perform(work, *some_size(work.random), [*acts, read(EXTENT), read(ORIGIN), read(SIZE)])


@step("keeps pixels, of 1, 2, 4 and 8 bytes", look="README.md, section 3", after=has_registers)
def keeps_pixels(work: Work) -> None:
    columns, rows = some_size(work.random)
    acts: list[Act] = []
    for size in WIDTHS * 3:
        at = PIXELS + work.random.randrange(8, columns * rows - 16)
        near = at + work.random.randrange(size)
        acts += [write(at, work.random.getrandbits(64), size), read(at, size), read(near, 1)]
        acts.append(read(at - work.random.randrange(4), work.random.choice(WIDTHS)))
    last = PIXELS + columns * rows
    acts += [write(last - 8, work.random.getrandbits(64), 8), read(last - 2, 2), read(last - 8, 8)]
    perform(work, columns, rows, acts)


@step("shows at FLIP what was drawn, not before", look="README.md, section 4", after=keeps_pixels)
def flips(work: Work) -> None:
    columns, rows = some_size(work.random)
    acts: list[Act] = [LOOK]
    for _ in range(4):
        at = PIXELS + work.random.randrange(columns * rows - 8)
        acts += [write(at, work.random.getrandbits(64) | 1, 8), LOOK]
        acts += [write(FLIP, work.random.getrandbits(32)), LOOK, read(at, 8), read(FLIP)]
    perform(work, columns, rows, acts)


@step("has nothing behind the picture", look="README.md, section 6", after=flips)
def has_an_end(work: Work) -> None:
    random = work.random
    columns, rows = some_size(random)
    end = PIXELS + columns * rows
    acts: list[Act] = []
    for at in (end - 1, end, random.randrange(end + 1, LENGTH - 8), LENGTH - 8):
        for size in WIDTHS:
            acts += [*shown(write(at, random.getrandbits(64), size)), read(at, size)]
    acts += [write(end - 3, random.getrandbits(64), 8), read(end - 4, 4), read(end - 4, 8)]
    perform(work, columns, rows, acts)


@step("fills rectangles", look="README.md, section 5", after=flips)
def fills(work: Work) -> None:
    random = work.random
    columns, rows = some_size(random)
    acts = fill(random, 0, 0, columns, rows)
    for _ in range(4):
        left, top = random.randrange(columns), random.randrange(rows)
        acts += fill(
            *(random, left, top),
            *(random.randrange(columns - left) + 1, random.randrange(rows - top) + 1),
        )
    acts += fill(random, 3, 4, 0, 5) + fill(random, 3, 4, 5, 0) + fill(random, 5, 6, 1, 1)
    black = shown(write(FILL, 0xFFFF_FF00))
    acts += [*fill(random, 1, 2, columns - 2, rows - 3), *black, *black]
    perform(work, columns, rows, [*acts, read(FILL), read(FAULTS)])


@step("clips rectangles to the picture", look="README.md, section 5", after=fills)
def clips(work: Work) -> None:
    random = work.random
    columns, rows = some_size(random)
    acts = []
    for left, top, wide, high in (
        (columns - 3, 2, 9, 3),
        (2, rows - 2, 3, 7),
        (columns - 1, rows - 1, 40, 40),
        (columns, 1, 5, 5),
        (columns + 4, 3, 5, 5),
        (1, rows, 5, 5),
        (0, rows + 9, 3, 3),
    ):
        acts += fill(random, left, top, wide, high)
    perform(work, columns, rows, [*acts, read(FAULTS)])


@step(
    "takes registers by 4 bytes, by 8 as two, by no other width",
    look="README.md, section 2",
    after=(has_registers, fills),
)
def has_widths(work: Work) -> None:
    random = work.random
    columns, rows = some_size(random)
    corner, extent = both(2, 1), both(random.randrange(3, 9), random.randrange(3, 9))
    colour = random.getrandbits(32)
    acts: list[Act] = [
        read(ID, 8),
        write(ORIGIN, corner | both(9, 9) << 32, 8),
        *(read(ORIGIN), read(EXTENT)),
        # both at once, the lower first: the extent counts already for the fill
        *shown(write(EXTENT, extent | colour << 32, 8)),
        *(read(ORIGIN, 8), read(FILL, 8)),
    ]
    for offset in (ORIGIN, FILL, FLIP, EXTENT + 2, ORIGIN + 1):
        for size in (1, 2, 4) if offset % 4 else (1, 2):
            acts += [write(offset, random.getrandbits(32), size), read(ORIGIN), read(EXTENT)]
            acts += [read(FLIP), read(offset, size), write(FLIP, 0), LOOK]
    perform(work, columns, rows, acts)


def refused(random: Random, end: int) -> list[Act]:
    """One of each kind of access that a canvas refuses, wholly or in part.

    Args:
        end: the offset behind the last pixel.
    """
    unknown = random.randrange(FAULTS + 4, PIXELS, 4)
    value = random.getrandbits(32)
    behind = random.randrange(end, LENGTH - 8)
    return [
        *(write(offset, value) for offset in (ID, SIZE, FAULTS, unknown)),
        *(read(unknown), read(unknown, 1), read(ID, 1), read(SIZE, 2), read(FAULTS, 1)),
        *(write(FILL, value, 1), write(FLIP, value, 2), write(ORIGIN + 2, value)),
        *(read(behind, random.choice((1, 2, 4))), write(behind, value, random.choice((1, 2, 4)))),
        *(read(end - 1, 2), write(end - 1, value, 2), read(end - 3, 4), write(end - 1, value, 4)),
        # of 8 bytes: one half is refused, or both; FAULTS is read first, then what is behind it
        *(read(FAULTS, 8), write(FLIP, value, 8), write(ID, value, 8), read(ORIGIN + 2, 8)),
        *(write(EXTENT + 1, value, 8), read(unknown - 4, 8)),
    ]


@step(
    "counts in FAULTS what it refuses, until FAULTS is read",
    look="README.md, section 6",
    after=(has_an_end, has_widths),
)
def counts_faults(work: Work) -> None:
    columns, rows = some_size(work.random)
    kinds = refused(work.random, PIXELS + columns * rows)
    acts: list[Act] = []
    for act in kinds:
        acts += [act, read(FAULTS), read(FAULTS)]
    for _ in range(3):
        acts += [*work.random.choices(kinds, k=work.random.randrange(2, 5)), read(FAULTS)]
    acts += [kinds[0], read(FAULTS, 2), read(FAULTS, 1), read(FAULTS), read(FAULTS)]
    perform(work, columns, rows, acts)


def anything(random: Random, columns: int, rows: int) -> Act:
    """Some access; not to FAULTS, whose count depends on what the bus has split."""
    size = random.choice(WIDTHS)
    end = PIXELS + columns * rows
    offset = random.choice(
        (
            random.randrange(ORIGIN - 4, FLIP, 4),
            random.randrange(FLIP - 6),
            random.randrange(PIXELS, end),
            random.randrange(end - 8, end + 8),
            random.randrange(end, LENGTH - 8),
        )
    )
    if random.random() < 0.3:
        return read(offset, size)
    return write(offset, random.getrandbits(8 * size), size)


@step(
    "a hostile guest hurts only itself",
    look="README.md, section 6",
    after=(has_an_end, clips, counts_faults),
)
def survives(work: Work) -> None:
    random = work.random
    columns, rows = some_size(random)
    everything = fill(random, 0, 0, 0xFFFF, 0xFFFF)
    far = fill(random, random.randrange(0xFF00, 0xFFFF), 0xFFF0, 0xFFFF, 0xFFFF)
    try:
        perform(work, columns, rows, everything + far, seconds=PATIENCE)
    except Wrong as wrong:
        if "longer than" not in wrong.why:
            raise
        raise Wrong(
            f"a FILL of 65535x65535 on a canvas of {columns}x{rows} took longer than {PATIENCE} s: "
            "the guest holds up the hypervisor by one access.  Clip first, then loop"
        ) from None
    acts: list[Act] = []
    for _ in range(5):
        acts += [anything(random, columns, rows) for _ in range(100)]
        acts.append(LOOK)
    perform(work, columns, rows, acts)


def canvas_size(random: Random) -> tuple[int, int]:
    """Columns and rows of a canvas that the picture fits on."""
    return random.randrange(40, 100), random.randrange(40, 80)


def wide_size(random: Random) -> tuple[int, int]:
    """The same, with more columns than a byte can say."""
    return random.randrange(257, 400), random.randrange(40, 50)


@step("the driver leaves alone what is no canvas", look="README.md, section 7", needs=("machine",))
def leaves_alone(work: Work) -> None:
    identities = [0xFFFF_FFFF, MAGIC ^ 1 << work.random.randrange(32)]
    met = work.scenario(meet, work.assemble(DRIVER), identities)
    for identity, (end, writes) in zip(identities, met, strict=True):
        what = f"what ID reads is {identity:#x}, so this is no canvas: "
        expect(writes, 0, f"{what}how often the driver writes to it")
        expect(end, "halted", f"{what}how the driver ends")


@step(
    "the driver draws the picture, whatever its size",
    look="README.md, section 7",
    after=leaves_alone,
    needs=("machine",),
)
def draws(work: Work) -> None:
    sizes = [canvas_size(work.random), wide_size(work.random)]
    image, seed = work.assemble(DRIVER), work.random.getrandbits(32)
    results = work.scenario(draw, image, sizes, seed)
    for (columns, rows), result in zip(sizes, results, strict=True):
        found = Drawn(*result)
        where = f"on a canvas of {columns}x{rows}"
        if found.end != "halted":
            raise Wrong(f"{where} the driver does not halt: {found.end}; FLIPs: {found.flips}")
        if found.refused:
            bytewise = work.emulated and "a write of 1 byte" in found.refused
            raise Wrong(
                f"{where} the driver does what no canvas takes: {found.refused}"
                f"{UNALIGNED if bytewise else ''}"
            )
        expect(found.flips, 1, f"{where}: how often the driver writes FLIP")
        wrong = difference(found.picture, picture(columns, rows), columns)
        if wrong:
            raise Wrong(f"{where}, when the driver has halted, {wrong}")


@step("the driver needs few accesses", look="README.md, section 8", after=draws, needs=("kvm",))
def is_cheap(work: Work) -> None:
    columns, rows = canvas_size(work.random)
    (result,) = work.scenario(draw, work.assemble(DRIVER), [(columns, rows)], 0)
    needed = Drawn(*result).accesses
    if needed > MOST_ACCESSES:
        raise Wrong(
            f"on a canvas of {columns}x{rows} the driver needs {needed} accesses, each an exit: "
            f"{MOST_ACCESSES} are enough"
        )


@step(
    "driver and canvas work together",
    look="README.md, section 7",
    after=(survives, draws),
    needs=("machine",),
)
def work_together(work: Work) -> None:
    columns, rows = canvas_size(work.random)
    end, seen = work.scenario(draw_together, work.assemble(DRIVER), columns, rows)
    expect(end, "halted", f"how your driver ends on your canvas of {columns}x{rows}")
    wrong = difference(seen, picture(columns, rows), columns)
    if wrong:
        raise Wrong(f"when your driver has drawn on your canvas of {columns}x{rows}, {wrong}")
