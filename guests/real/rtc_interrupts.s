# rtc_interrupts: the real-time clock interrupts.
#
# Teaches: IRQ 8, through the slave and the master interrupt controller; the clock's three causes;
#          register C, which must be read before the next one comes.
# Mode:    real (16-bit), at 0x1000.
# Takes:   at load address + 4 the causes in register B, a byte: 0x40 periodic (64 Hz, in the
#          file), 0x20 alarm, 0x10 update ended (both each second).  Others write there before it
#          runs.
# Prints:  a dot at each of three interrupts, then PASS.
# Ends:    HLT with interrupts off, status 0; debug-exit 1 (status 3) if it was another cause.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x28                   # IRQ 8, where IRQ 0 is 0x20
.set INTERRUPTS, 3
.set SECONDS_ALARM, 0x01
.set MINUTES_ALARM, 0x03
.set HOURS_ALARM, 0x05
.set REGISTER_A, 0x0A
.set REGISTER_B, 0x0B
.set REGISTER_C, 0x0C
.set EVERY, 0xC0                    # in an alarm register: any value matches
.set RATE_64_HZ, 0x2A               # with the crystal's 32.768 kHz
.set HOURS_24, 1 << 1
.set INTERRUPTED, 1 << 7            # in register C, beside the cause's bit

.macro cmos_write register, value
    mov al, \register
    out CMOS_INDEX, al
    mov al, \value
    out CMOS_DATA, al
.endm

    jmp short start
    .org 4
causes:
    .byte 0x40
start:
    cld
    mov word ptr [VECTOR * 4], offset on_clock
    mov word ptr [VECTOR * 4 + 2], cs
    pic_setup 0x20
    mov al, ~(1 << 2) & 0xFF        # the slave alone
    out PIC_MASK, al
    mov al, ~(1 << 0) & 0xFF        # and there the clock
    out PIC2_MASK, al

    cmos_write SECONDS_ALARM, EVERY
    cmos_write MINUTES_ALARM, EVERY
    cmos_write HOURS_ALARM, EVERY
    cmos_write REGISTER_A, RATE_64_HZ
    mov al, REGISTER_C              # what came before does not count
    out CMOS_INDEX, al
    in al, CMOS_DATA
    mov bl, [causes]
    mov bh, bl
    or bh, HOURS_24
    cmos_write REGISTER_B, bh

    xor bp, bp
1:  sti
    hlt
    cli
    cmp bp, INTERRUPTS
    jb 1b
    cmos_write REGISTER_B, HOURS_24
    mov al, '\n'
    call put
    jmp pass

on_clock:                           # BL: the causes, BP: how many came
    push ax
    push dx
    mov al, REGISTER_C
    out CMOS_INDEX, al
    in al, CMOS_DATA
    test al, INTERRUPTED
    jz fail
    test al, bl
    jz fail
    cmp bp, INTERRUPTS              # one more may come before the code above looks
    jae 1f
    inc bp
    mov al, '.'
    call put
1:  mov al, PIC_EOI
    out PIC2, al
    out PIC, al
    pop dx
    pop ax
    iret

console
