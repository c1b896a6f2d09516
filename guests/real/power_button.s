# power_button: somebody presses the power button, and the machine switches off.
#
# Teaches: ACPI's fixed events: a status bit that stays until it is written as 1, an enable bit,
#          the system control interrupt; then soft-off by the control register.
# Mode:    real (16-bit), at 0x1000.
# Prints:  what to do; then waits, for as long as it takes (at `pykvm run`'s terminal: Ctrl-A p).
#          When it is done, Bye.
# Ends:    switched off, status 0; debug-exit 1 (status 3) if it is interrupted without a cause.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x29                   # IRQ 9, where IRQ 0 is 0x20
.set ELCR2, 0x4D1                   # a bit each for IRQ 8 to 15: level-triggered
.set POWER_STATUS, 0x600            # PM1a status, where the FADT says
.set POWER_ENABLE, 0x602
.set POWER_CONTROL, 0x604
.set BUTTON, 1 << 8                 # in status and enable: it was pressed
.set SLEEP, 1 << 13                 # in control: enter the sleep type, which is 0, \_S5's

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
    mov ax, BUTTON
    out dx, ax
    mov dx, POWER_ENABLE
    out dx, ax
    mov si, offset press
    call print
    xor bp, bp
1:  sti
    hlt
    cli
    test bp, bp
    jz 1b
    sti                             # now nothing may be left that interrupts
    nop
    nop
    cli
    cmp bp, 1
    jne fail
    mov si, offset bye
    call print
    mov dx, POWER_CONTROL
    mov ax, SLEEP
    out dx, ax
    jmp fail

on_power:                           # BP: how often it came
    push ax
    push dx
    mov dx, POWER_STATUS
    in ax, dx
    test ax, BUTTON
    jz fail
    mov ax, BUTTON
    out dx, ax
    inc bp
    mov al, PIC_EOI
    out PIC2, al
    out PIC, al
    pop dx
    pop ax
    iret

console

press:
    .asciz "Press the power button.\n"
bye:
    .asciz "Bye.\n"
