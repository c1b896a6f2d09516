# exits_rom: time accesses to four ports by the processor's time-stamp counter.
#
# Mode:    real (16-bit), from the reset vector; 64 KiB that end at 4 GiB.
# Takes:   at 4 how many blocks for each port, as a 16-bit number.  Others write it there.
# Prints:  for each block a line: the ticks of its 64 accesses, 8 hexadecimal digits; port by port.
# Ends:    debug-exit 0: status 1.
#
# Only what is between a block's two RDTSC counts: 64 accesses, and 4 times DEC and JNZ.  A block
# takes a fraction of a millisecond, so that most are whole when others want the processor, too.

.intel_syntax noprefix
.include "greeting.inc"
.code16

.set POST, 0x80                     # POST codes: nobody looks at them
.set DEBUG_CONSOLE, 0xE9            # what goes there is thrown away here
.set CMOS_INDEX, 0x70
.set CMOS_DATA, 0x71
.set SHUTDOWN_STATUS, 0x0F          # a byte of CMOS RAM
.set ROUNDS, 4
.set UNROLLED, 16
.set STACK, 0x7000

.macro measure port, operation
    mov bp, word ptr cs:[blocks]
1:
    rdtsc
    mov esi, eax
    mov cx, ROUNDS
    mov dx, \port
2:
    .rept UNROLLED
    \operation
    .endr
    dec cx
    jnz 2b
    rdtsc
    sub eax, esi
    call print
    dec bp
    jnz 1b
.endm

    jmp start
    .org 4
blocks:
    .word 1

start:
    mov sp, STACK
    measure POST, "out dx, al"
    measure DEBUG_CONSOLE, "out dx, al"
    measure COM1_STATUS, "in al, dx"
    mov al, SHUTDOWN_STATUS
    out CMOS_INDEX, al
    measure CMOS_DATA, "in al, dx"
    mov dx, DEBUG_EXIT
    mov al, 0
    out dx, al
    hlt

print:                              # EAX, and a new line
    mov ebx, eax
    mov cx, 8
    mov dx, COM1
3:
    rol ebx, 4
    mov al, bl
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe 4f
    add al, 'A' - '0' - 10
4:
    out dx, al
    dec cx
    jnz 3b
    mov al, '\n'
    out dx, al
    ret

    .org 0xFFF0                     # the reset vector
    jmp start
    .org 0x10000
