"""What a console must do with port I/O, and a guest with a console: see README.md."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pykvm.bus import Device
from pykvm.kvm.exits import Io
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE, GUEST = "console.py", "guest.s"
SCREEN, KEY, STATUS = 0xE9, 0xEA, 0xEB
BUFFER = b"\x00\x40"  # 0x4000

Access = tuple[int, int, int, bool, bytes]
"""The fields of an `Io`."""


def some_text(random: Random, least: int = 3) -> bytes:
    """Printable characters."""
    return bytes(random.choices(range(0x20, 0x7F), k=random.randrange(least, 30)))


def converse(student: Student, keys: bytes, accesses: list[Access]) -> tuple[list[object], bytes]:
    """What a console answers to each access, and its text afterwards."""
    console = student.get(FILE, "Console")(keys)
    answers = [console.handle(Io(*access)) for access in accesses]
    return answers, bytes(console.text)


def out(data: bytes, size: int = 1, port: int = SCREEN) -> Access:
    return port, size, len(data) // size, True, data


def read(count: int = 1, size: int = 1, port: int = KEY) -> Access:
    return port, size, count, False, b""


def told(access: Access) -> str:
    """An access as the student's code sees it."""
    return f"{Io(*access)}"


def ask(work: Work, keys: bytes, accesses: list[Access], answers: Sequence[object]) -> bytes:
    """Have the console asked; `Wrong` unless it answers so.  Returns its text."""
    got, text = work.scenario(converse, keys, accesses)
    for i, (access, answer, right) in enumerate(zip(accesses, got, answers, strict=True)):
        before = f", after {i} other accesses," if i else ""
        what = f"handle({told(access)}){before} with the keys {keys!r} at the beginning"
        expect(answer, right, what)
    assert isinstance(text, bytes)
    return text


@step("takes characters by OUT", look="README.md, section 2")
def takes(work: Work) -> None:
    text = some_text(work.random)
    got = ask(work, b"", [out(bytes([c])) for c in text], [None] * len(text))
    expect(got, text, "Console.text after one OUT for each character")


@step("takes a whole string by one exit", look="README.md, section 3", after=takes)
def takes_strings(work: Work) -> None:
    first, second = some_text(work.random), some_text(work.random)
    got = ask(work, b"", [out(first), out(second)], [None, None])
    expect(got, first + second, "Console.text after two string OUTs")


@step("answers IN with the keys in turn, then with 0", look="README.md, section 2")
def answers(work: Work) -> None:
    keys = some_text(work.random)
    accesses = [read()] * (len(keys) + 2)
    ask(work, keys, accesses, [*(bytes([key]) for key in keys), b"\0", b"\0"])


@step("answers a string IN with one key an element", look="README.md, section 3", after=answers)
def answers_strings(work: Work) -> None:
    keys = some_text(work.random, 12)
    at = work.random.randrange(2, 9)
    rest = keys[at:]
    ask(
        *(work, keys, [read(at), read(len(rest) + 5)]),
        [keys[:at], rest + bytes(5)],
    )


@step("says whether there is a key; other ports float high", look="README.md, section 2")
def status(work: Work) -> None:
    port = work.random.choice([0x80, 0x60, 0x3F8, 0xEC])
    accesses = [
        *(read(port=STATUS), read(), read(port=STATUS), read(port=SCREEN)),
        *(out(b"x", port=port), read(3, port=port), read(port=port, size=4)),
    ]
    right = [b"\1", b"k", b"\0", b"\xe9", None, b"\xff" * 3, b"\xff" * 4]
    text = ask(work, b"k", accesses, right)
    expect(text, b"", f"Console.text after an OUT to port {port:#x}, which is not the screen's")


@step(
    "splits a wide access into one for each port",
    look="README.md, section 4",
    after=(takes_strings, answers_strings, status),
)
def splits(work: Work) -> None:
    one, two = some_text(work.random)[:2]
    keys = some_text(work.random)
    accesses = [
        *(out(bytes([one, 0x41, two, 0x42]), size=2), read(size=2, count=2)),
        *(read(size=4, port=SCREEN), out(b"abcd", size=4, port=SCREEN - 1)),
    ]
    more = b"\1" if len(keys) > 3 else b"\0"
    right = [
        *(None, keys[:1] + b"\1" + keys[1:2] + b"\1"),
        *(b"\xe9" + keys[2:3] + more + b"\xff", None),
    ]
    text = ask(work, keys, accesses, right)
    what = (
        f"Console.text after {told(accesses[0])} and {told(accesses[3])}: only the bytes that fall "
        "on port 0xe9 are the screen's"
    )
    expect(text, bytes([one, two]) + b"b", what)


def talker(keys: int, greeting: bytes) -> bytes:
    """A guest that greets by REP OUTSB, echoes a key, then takes others by REP INSB."""
    rest = (keys - 1).to_bytes(2, "little")
    code = (
        b"\xfc"  # cld
        b"\xbe\x28\x10"  # mov si, 0x1028
        b"\xb9"
        + len(greeting).to_bytes(2, "little")  # mov cx, ...
        + b"\xba\xe9\x00"  # mov dx, 0xe9
        b"\xf3\x6e"  # rep outsb
        b"\xe4\xea"  # in al, 0xea
        b"\xe6\xe9"  # out 0xe9, al
        b"\xba\xea\x00"  # mov dx, 0xea
        b"\xbf"
        + BUFFER  # mov di, 0x4000
        + b"\xb9"
        + rest  # mov cx, ...
        + b"\xf3\x6c"  # rep insb
        b"\x4a"  # dec dx
        b"\xbe"
        + BUFFER  # mov si, 0x4000
        + b"\xb9"
        + rest  # mov cx, ...
        + b"\xf3\x6e"  # rep outsb
        b"\xf4"  # hlt
    )
    return code.ljust(0x28) + greeting


@step(
    "runs guests that talk through it",
    look="README.md, section 5",
    after=(takes_strings, answers_strings),
    needs=("kvm",),
)
def runs(work: Work) -> None:
    for _ in range(2):
        keys, greeting = some_text(work.random), some_text(work.random)
        code = talker(len(keys), greeting)
        got = work.call(FILE, "run", code, keys, seconds=8)
        expect(got, greeting + keys, f"what a guest says that greets and echoes the keys {keys!r}")


def run_astray(student: Student, code: bytes) -> str:
    """What `run` raises."""
    try:
        result = student.get(FILE, "run")(code, b"")
    except RuntimeError as error:
        return str(error)
    raise Wrong(f"run() returned {result!r} for a guest that wrote where it has no memory")


@step("a guest that goes astray is a RuntimeError", look="README.md, section 5", after=runs)
def astray(work: Work) -> None:
    code = (
        b"\xb8\x00\x20"  # mov ax, 0x2000
        b"\x8e\xd8"  # mov ds, ax
        b"\xa2\x00\x00"  # mov [0], al
        b"\xf4"  # hlt
    )
    said = work.scenario(run_astray, code, seconds=8)
    if "mmio" not in said.lower():
        raise Wrong(f"the RuntimeError says {said!r}, not which exit it was: Mmio")


class Keys(Device):
    """The checker's own KEY and STATUS."""

    name = "keys"

    def __init__(self, keys: bytes) -> None:
        self._keys = list(keys)
        self.asked = 0

    def read(self, offset: int, size: int) -> int:
        """The next key, or whether there is one."""
        self.asked += 1
        if offset == STATUS - KEY:
            return int(bool(self._keys))
        return self._keys.pop(0) if self._keys else 0


def run_guest(_: Student, image: bytes, keys: bytes) -> tuple[str, bytes]:
    """How the student's guest ends, and what it says, on a console that is right."""
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.x86 import Mode

    with Machine("1M", irqchip="none") as machine:
        machine.ports.attach(KEY, 2, Keys(keys))
        machine.load(image, mode=Mode.REAL, bios=False)
        try:
            end = machine.run(timeout=4).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
        return end, machine.debug_output[:1000]


@step(
    "the guest says its keys in capitals, then halts",
    look="README.md, section 6",
    needs=("machine",),
)
def capitals(work: Work) -> None:
    image = work.assemble(GUEST)
    edges = bytes(work.random.sample(list(b"`az{@AZ[\0\x7f\xe1\xff"), 12))
    for keys in (b"", some_text(work.random), edges):
        end, said = work.scenario(run_guest, image, keys)
        if end != "halted":
            how = "does not end" if end == "timeout" else f"ends otherwise ({end})"
            raise Wrong(f"with the keys {keys!r} the guest {how}; it said {said[:40]!r} so far")
        expect(said, keys.upper(), f"what the guest says to the keys {keys!r}")
