# serial_interrupts: an echo that never polls.
#
# Teaches: a UART that interrupts: the interrupt enable register, MCR's OUT2 as the gate to the
#          controller, the causes in IIR; a queue between receiver and transmitter.
# Mode:    real (16-bit), at 0x1000.
# Reads:   characters from the serial port, up to Ctrl-D.
# Prints:  the same characters, without the Ctrl-D, then PASS.
# Ends:    HLT with interrupts off, status 0.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x24                   # IRQ 4
.set CTRL_D, 4
.set QUEUE, 0x4000                  # 256 bytes; the indices wrap by themselves
.set RECEIVE, 1 << 0                # in COM1_INTERRUPTS
.set TRANSMIT, 1 << 1
.set NONE_PENDING, 1 << 0           # in COM1_CAUSE

    cld
    mov word ptr [VECTOR * 4], offset on_serial
    mov word ptr [VECTOR * 4 + 2], cs
    mov al, PIC_INIT
    out PIC, al
    mov al, VECTOR - 4
    out PIC_MASK, al
    mov al, 1 << 2
    out PIC_MASK, al
    mov al, 1
    out PIC_MASK, al
    mov al, ~(1 << 4) & 0xFF
    out PIC_MASK, al

    xor bx, bx                      # BL: where the next one goes in; BH: where it comes out
    xor bp, bp                      # 1 after Ctrl-D
    mov dx, COM1_MODEM
    mov al, 0x0B                    # DTR, RTS, OUT2
    out dx, al
    mov dx, COM1_INTERRUPTS
    mov al, RECEIVE
    out dx, al
wait:
    sti
    hlt
    cli
    test bp, bp
    jz wait
    cmp bl, bh                      # and all sent
    jne wait
    xor al, al
    mov dx, COM1_INTERRUPTS
    out dx, al
    jmp pass

on_serial:                          # BX and BP are its own
    push ax
    push dx
next:
    mov dx, COM1_CAUSE
    in al, dx
    test al, NONE_PENDING
    jnz done
    and al, 0b1110
    cmp al, 0b0010                  # the transmitter is empty
    je send
    mov dx, COM1_DATA               # a character came
    in al, dx
    cmp al, CTRL_D
    je last
    mov di, bx
    and di, 0xFF
    mov [QUEUE + di], al
    inc bl
    mov dx, COM1_INTERRUPTS         # turning it on interrupts at once if it is empty
    mov al, RECEIVE | TRANSMIT
    out dx, al
    jmp next
last:                               # what comes behind it stays in the UART
    mov bp, 1
    mov dx, COM1_INTERRUPTS
    mov al, TRANSMIT
    out dx, al
    jmp next
send:
    cmp bl, bh
    je idle
    mov di, bx
    shr di, 8
    mov al, [QUEUE + di]
    inc bh
    mov dx, COM1_DATA
    out dx, al
    jmp next
idle:
    mov al, RECEIVE
    test bp, bp
    jz 1f
    xor al, al
1:  mov dx, COM1_INTERRUPTS
    out dx, al
    jmp next
done:
    mov al, PIC_EOI
    out PIC, al
    pop dx
    pop ax
    iret

console
