# real_program: what the interrupts of the student's ticks.s interrupt.  At 0x3000; its numbers are in memory.
# Each turn presses the button (which then interrupts) and waits for an interrupt, until there were enough.

.intel_syntax noprefix
.code16

.set load_address, 0x3000
.globl load_address

.set TICKS, 0x500
.set BYTES, 0x502
.set MIN_TICKS, 0x700
.set MIN_BYTES, 0x702
.set BEFORE, 0x710                  # AX BX CX DX SI DI BP DS ES, before and after
.set AFTER, 0x730
.set PRESS, 0xE3

    cli
    mov ax, cs:[BEFORE]
    mov bx, cs:[BEFORE + 2]
    mov cx, cs:[BEFORE + 4]
    mov dx, cs:[BEFORE + 6]
    mov si, cs:[BEFORE + 8]
    mov di, cs:[BEFORE + 10]
    mov bp, cs:[BEFORE + 12]
    mov ds, cs:[BEFORE + 14]
    mov es, cs:[BEFORE + 16]
again:
    out PRESS, al
    push ax
    mov ax, cs:[TICKS]
    cmp ax, cs:[MIN_TICKS]
    jb more
    mov ax, cs:[BYTES]
    cmp ax, cs:[MIN_BYTES]
    jae done
more:
    pop ax
    sti
    hlt
    cli
    jmp again
done:
    pop ax
    mov cs:[AFTER], ax
    mov cs:[AFTER + 2], bx
    mov cs:[AFTER + 4], cx
    mov cs:[AFTER + 6], dx
    mov cs:[AFTER + 8], si
    mov cs:[AFTER + 10], di
    mov cs:[AFTER + 12], bp
    mov cs:[AFTER + 14], ds
    mov cs:[AFTER + 16], es
    hlt
