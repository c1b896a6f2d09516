# Lab 5, solved.

.intel_syntax noprefix
.code16

.set PROGRAM, 0x3000
.set TICKS, 0x500
.set BYTES, 0x502
.set BUFFER, 0x600
.set BUTTON, 0xE2

.set VECTOR, 0x20
.set BUTTON_VECTOR, VECTOR + 10
.set DIVISOR, 1193

    mov word ptr [VECTOR * 4], offset on_tick
    mov word ptr [VECTOR * 4 + 2], 0
    mov word ptr [BUTTON_VECTOR * 4], offset on_button
    mov word ptr [BUTTON_VECTOR * 4 + 2], 0

    mov al, 0x11                    # ICW1
    out 0x20, al
    out 0xA0, al
    mov al, VECTOR                  # ICW2
    out 0x21, al
    mov al, VECTOR + 8
    out 0xA1, al
    mov al, 1 << 2                  # ICW3
    out 0x21, al
    mov al, 2
    out 0xA1, al
    mov al, 1                       # ICW4
    out 0x21, al
    out 0xA1, al
    mov al, 0xFA                    # OCW1: IRQ 0 and the cascade
    out 0x21, al
    mov al, 0xFB                    # IRQ 10
    out 0xA1, al

    mov al, 0x34
    out 0x43, al
    mov al, DIVISOR & 0xFF
    out 0x40, al
    mov al, DIVISOR >> 8
    out 0x40, al
    sti
    jmp PROGRAM

on_tick:
    push ax
    inc word ptr cs:[TICKS]
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

on_button:
    push ax
    push bx
    mov bx, cs:[BYTES]
    in al, BUTTON
    mov cs:[BUFFER + bx], al
    inc word ptr cs:[BYTES]
    mov al, 0x20
    out 0xA0, al
    out 0x20, al
    pop bx
    pop ax
    iret
