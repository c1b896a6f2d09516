# ticks: two interrupt handlers, and the controllers set up for them; then the program at 0x3000 goes on.
#
# To do, in this order (README.md, sections 1 to 3): the vectors, the PICs, the timer, STI, JMP to PROGRAM.

.intel_syntax noprefix
.code16

.set PROGRAM, 0x3000
.set TICKS, 0x500                   # word: how many ticks there were
.set BYTES, 0x502                   # word: how many bytes the button gave
.set BUFFER, 0x600                  # those bytes
.set BUTTON, 0xE2                   # IN: the next byte; the button's line, IRQ 10, goes low

    mov word ptr [0x08 * 4], offset on_tick     # where a PC's BIOS has IRQ 0
    mov word ptr [0x08 * 4 + 2], 0
    sti
    jmp PROGRAM

on_tick:
    inc word ptr [TICKS]
    iret
