"""The BIOS's machine code: 16-bit stubs, an instruction a line with its mnemonic.

A stub enters Python by `out PORT, al`, a port a service, and executes IRET.  It is an OUT since
completing an IN would overwrite AL, which the service may have set, when the guest goes on.
Nothing hangs on where RIP is at the exit: behind the OUT, or still at it (KVM goes on behind it
then, as CS:IP are unchanged).

A service that has nothing to return yet says so in the processor's CF (`Call.signal`), which
tells the stub to wait and trap again; what the caller gets in CF is in the FLAGS that IRET loads.
How it waits is the machine's choice: with interrupts it halts until the next one, 55 ms away at
the most (`STI; HLT`); without an interrupt controller HLT would never end, so it traps again at
once, and the machine must do without that much of a host CPU.

A test disassembles every line.
"""

from __future__ import annotations

from pykvm.layout import BIOS_TRAP

VECTORS = (
    0x09, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A,
)  # fmt: skip
"""The interrupts that are served in Python, in the order of their ports."""

MAY_WAIT = frozenset({0x14, 0x15, 0x16})


def code(*lines: str) -> bytes:
    """Machine code from hexadecimal, an instruction a line."""
    return bytes.fromhex("".join(lines))


def trap(vector: int) -> str:
    """`out PORT, al`, in hexadecimal, with the port of a service."""
    return f"e6 {BIOS_TRAP + VECTORS.index(vector):02x}"


IRET = code(
    "cf",  # iret
)


def service(vector: int) -> bytes:
    """Trap, and return."""
    return code(
        trap(vector),
        "cf",  # iret
    )


def waiting_service(vector: int, *, halt: bool) -> bytes:
    """Trap, and while CF is set wait and trap again."""
    return code(
        trap(vector),
        "73 04",  # jae 8
        *(
            (
                "fb",  # sti
                "f4",  # hlt
            )
            if halt
            else (
                "f3 90",  # pause
            )
        ),
        "eb f8",  # jmp 0
        "cf",  # iret
    )


def bootstrap() -> bytes:
    """INT 19h: have the boot sector read to 0000:7C00, and enter it; CF set: there is none."""
    return code(
        "31 c0",  # xor ax, ax
        "8e d8",  # mov ds, ax
        "8e c0",  # mov es, ax
        "8e d0",  # mov ss, ax
        "bc 00 7c",  # mov sp, 0x7c00
        "fb",  # sti
        trap(0x19),
        "72 05",  # jb 0x15
        "ea 00 7c 00 00",  # ljmp 0:0x7c00
        "cd 18",  # int 0x18
        "eb fc",  # jmp 0x15
    )


def no_system() -> bytes:
    """INT 18h: have that said, and stop."""
    return code(
        trap(0x18),
        "fa",  # cli
        "f4",  # hlt
        "eb fc",  # jmp 2
    )


def timer() -> bytes:
    """IRQ 0: count, note midnight after 0x1800B0 ticks, call INT 1Ch."""
    return code(
        "50",  # push ax
        "52",  # push dx
        "1e",  # push ds
        "b8 40 00",  # mov ax, 0x40
        "8e d8",  # mov ds, ax
        "66 ff 06 6c 00",  # inc dword ptr [0x6c]
        "66 81 3e 6c 00 b0 00 18 00",  # cmp dword ptr [0x6c], 0x1800b0
        "72 0e",  # jb 0x26
        "66 c7 06 6c 00 00 00 00 00",  # mov dword ptr [0x6c], 0
        "c6 06 70 00 01",  # mov byte ptr [0x70], 1
        "cd 1c",  # int 0x1c
        "b0 20",  # mov al, 0x20
        "e6 20",  # out 0x20, al
        "1f",  # pop ds
        "5a",  # pop dx
        "58",  # pop ax
        "cf",  # iret
    )


def keyboard() -> bytes:
    """IRQ 1: offer the scan code to INT 15h, AH=4Fh; trap with it; CF set: call INT 1Bh."""
    return code(
        "50",  # push ax
        "e4 60",  # in al, 0x60
        "b4 4f",  # mov ah, 0x4f
        "f9",  # stc
        "cd 15",  # int 0x15
        "73 06",  # jae 0x10
        trap(0x09),
        "73 02",  # jae 0x10
        "cd 1b",  # int 0x1b
        "b0 20",  # mov al, 0x20
        "e6 20",  # out 0x20, al
        "58",  # pop ax
        "cf",  # iret
    )


def end_of_interrupt() -> bytes:
    """An interrupt of the first controller that nobody handles."""
    return code(
        "50",  # push ax
        "b0 20",  # mov al, 0x20
        "e6 20",  # out 0x20, al
        "58",  # pop ax
        "cf",  # iret
    )


def second_end_of_interrupt() -> bytes:
    """The same for the second controller, behind the first one."""
    return code(
        "50",  # push ax
        "b0 20",  # mov al, 0x20
        "e6 a0",  # out 0xa0, al
        "e6 20",  # out 0x20, al
        "58",  # pop ax
        "cf",  # iret
    )


def clock() -> bytes:
    """IRQ 8: the real-time clock asserts its line until its register C is read."""
    return code(
        "50",  # push ax
        "b0 0c",  # mov al, 0xc
        "e6 70",  # out 0x70, al
        "e4 71",  # in al, 0x71
        "b0 20",  # mov al, 0x20
        "e6 a0",  # out 0xa0, al
        "e6 20",  # out 0x20, al
        "58",  # pop ax
        "cf",  # iret
    )


def power_on(*, interrupts: bool) -> bytes:
    """What runs first: interrupt controllers to vectors 08h and 70h, timer to 18.2 Hz, INT 19h.

    Only the timer, the keyboard and the second controller are unmasked.  Without `interrupts`
    nothing is touched that the machine does not have.

    Source: Intel 8259A datasheet, "Initialization command words"; 8254, "Control word format".
    """
    return code(
        "fa",  # cli
        "fc",  # cld
        "31 c0",  # xor ax, ax
        "8e d0",  # mov ss, ax
        "bc 00 7c",  # mov sp, 0x7c00
        *(
            (
                "b0 11",  # mov al, 0x11
                "e6 20",  # out 0x20, al
                "e6 a0",  # out 0xa0, al
                "b0 08",  # mov al, 8
                "e6 21",  # out 0x21, al
                "b0 70",  # mov al, 0x70
                "e6 a1",  # out 0xa1, al
                "b0 04",  # mov al, 4
                "e6 21",  # out 0x21, al
                "b0 02",  # mov al, 2
                "e6 a1",  # out 0xa1, al
                "b0 01",  # mov al, 1
                "e6 21",  # out 0x21, al
                "e6 a1",  # out 0xa1, al
                "b0 f8",  # mov al, 0xf8
                "e6 21",  # out 0x21, al
                "b0 ff",  # mov al, 0xff
                "e6 a1",  # out 0xa1, al
                "b0 36",  # mov al, 0x36
                "e6 43",  # out 0x43, al
                "b0 00",  # mov al, 0
                "e6 40",  # out 0x40, al
                "e6 40",  # out 0x40, al
            )
            if interrupts
            else ()
        ),
        "fb",  # sti
        "cd 19",  # int 0x19
        "ea 5b e0 00 f0",  # ljmp 0xf000:0xe05b
    )


def reset_vector(segment: int, offset: int) -> bytes:
    """The far jump at the processor's first instruction."""
    return b"\xea" + offset.to_bytes(2, "little") + segment.to_bytes(2, "little")
