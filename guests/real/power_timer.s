# power_timer: ACPI's timer interrupts when it overflows.
#
# Teaches: the system control interrupt: level-triggered, which the edge/level register (ELCR)
#          tells the interrupt controller; a level that stays until its cause is cleared.
# Mode:    real (16-bit), at 0x1000.
# Prints:  a line when the timer's top bit has changed, which it does each 2.3 s, then PASS.
# Ends:    HLT with interrupts off, status 0; debug-exit 1 (status 3) if it interrupts without a
#          cause, or does not interrupt again while the cause is there.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x29                   # IRQ 9, where IRQ 0 is 0x20
.set ELCR2, 0x4D1                   # a bit each for IRQ 8 to 15: level-triggered
.set POWER_STATUS, 0x600            # PM1a status, where the FADT says
.set POWER_ENABLE, 0x602
.set TIMER, 1 << 0                  # in both: the timer's top bit has changed

    cld
    mov word ptr [VECTOR * 4], offset on_power
    mov word ptr [VECTOR * 4 + 2], cs
    pic_setup 0x20
    mov al, ~(1 << 2) & 0xFF        # the slave alone
    out PIC_MASK, al
    mov al, ~(1 << 1) & 0xFF        # and there IRQ 9
    out PIC2_MASK, al
    mov dx, ELCR2
    mov al, 1 << 1
    out dx, al

    mov dx, POWER_STATUS            # what came before does not count
    mov ax, TIMER
    out dx, ax
    mov dx, POWER_ENABLE
    out dx, ax
    xor bp, bp
1:  sti
    hlt
    cli
    cmp bp, 2                       # the first time, the handler leaves the cause as it is
    jb 1b
    sti                             # now nothing may be left that interrupts
    nop
    nop
    cli
    cmp bp, 2
    jne fail
    mov si, offset text
    call print
    jmp pass

on_power:                           # BP: how often it came
    push ax
    push dx
    mov dx, POWER_STATUS
    in ax, dx
    test ax, TIMER
    jz fail
    inc bp
    cmp bp, 1
    je 1f
    mov ax, TIMER                   # written as 1, it is cleared
    out dx, ax
1:  mov al, PIC_EOI
    out PIC2, al
    out PIC, al
    pop dx
    pop ax
    iret

console

text:
    .asciz "The timer has overflowed.\n"
