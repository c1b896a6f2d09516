# pit_ticks: the timer interrupts, again and again.
#
# Teaches: setting up the 8259A interrupt controllers (ICW1 to ICW4), the 8254 timer as a rate
#          generator, an interrupt's handler with its end-of-interrupt, and waiting in HLT.
# Mode:    real (16-bit), at 0x1000.
# Prints:  a dot at each of ten ticks, then PASS.
# Ends:    HLT with interrupts off, status 0.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x20                   # IRQ 0
.set TICKS, 10
.set DIVISOR, 4096                  # of 1.193182 MHz: a tick each 3.4 ms

    cld
    mov word ptr [VECTOR * 4], offset on_tick
    mov word ptr [VECTOR * 4 + 2], cs

    mov al, PIC_INIT                # ICW1 to both
    out PIC, al
    out PIC2, al
    mov al, VECTOR                  # ICW2: IRQ 0 to 7, then IRQ 8 to 15
    out PIC_MASK, al
    mov al, VECTOR + 8
    out PIC2_MASK, al
    mov al, 1 << 2                  # ICW3: the slave is on the master's input 2
    out PIC_MASK, al
    mov al, 2
    out PIC2_MASK, al
    mov al, 1                       # ICW4: 8086 mode
    out PIC_MASK, al
    out PIC2_MASK, al
    mov al, 0xFF                    # all masked, but ...
    out PIC2_MASK, al
    mov al, 0xFE                    # ... the timer
    out PIC_MASK, al

    mov al, 0x34                    # counter 0, low byte then high byte, mode 2
    out PIT_CONTROL, al
    mov al, DIVISOR & 0xFF
    out PIT_COUNTER0, al
    mov al, DIVISOR >> 8
    out PIT_COUNTER0, al

    xor bx, bx
wait:
    sti                             # takes effect behind HLT: no tick gets in between
    hlt
    cli
    cmp bx, TICKS
    jb wait
    mov al, 0xFF                    # no more of them
    out PIC_MASK, al
    mov al, '\n'
    call put
    jmp pass

on_tick:
    push ax
    push dx
    cmp bx, TICKS                   # one more may come before the code above looks
    jae 1f
    inc bx
    mov al, '.'
    call put
1:  mov al, PIC_EOI
    out PIC, al
    pop dx
    pop ax
    iret

console
