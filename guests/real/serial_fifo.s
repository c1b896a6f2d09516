# serial_fifo: a UART interrupts when its FIFO has so many characters, or when no more come.
#
# Teaches: the FIFO control register's trigger levels; the two causes of a receiver's interrupt,
#          "received data available" and the character time-out, and how many characters each
#          promises.
# Mode:    real (16-bit), at 0x1000.
# Reads:   80 characters from the serial port, 20 at each of the trigger levels 1, 4, 8 and 14.
# Prints:  a line for each level, with an L for each interrupt that found the level reached and a
#          T for each time-out; then PASS.
# Ends:    HLT with interrupts off, status 0; debug-exit 1 (status 3) if an interrupt promises more
#          characters than there are, or less than there could be.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x24                   # IRQ 4, where IRQ 0 is 0x20
.set EACH, 20
.set FIFO_ON, 1 << 0                # in COM1_FIFO, beside the level's number in bits 6 and 7
.set RECEIVE, 1 << 0                # in COM1_INTERRUPTS
.set NO_CAUSE, 0x01                 # in COM1_CAUSE, below the FIFO's bits
.set LEVEL_REACHED, 0x04
.set TIMED_OUT, 0x0C
.set CAUSES, 0x0F

    cld
    mov word ptr [VECTOR * 4], offset on_serial
    mov word ptr [VECTOR * 4 + 2], cs
    pic_setup 0x20
    mov al, ~(1 << 4) & 0xFF
    out PIC_MASK, al
    mov dx, COM1_MODEM
    mov al, 0x0B                    # DTR, RTS, OUT2
    out dx, al

    mov si, offset levels
next_level:
    lodsb                           # the level, 0 behind the last one
    test al, al
    jz pass
    movzx bx, al
    lodsb                           # and its number
    shl al, 6
    or al, FIFO_ON
    mov dx, COM1_FIFO
    out dx, al
    mov bp, EACH
    mov dx, COM1_INTERRUPTS         # what is there already interrupts now
    mov al, RECEIVE
    out dx, al
1:  sti
    hlt
    cli
    test bp, bp
    jnz 1b
    mov al, '\n'
    call put
    jmp next_level

on_serial:                          # BX: the level, BP: how many characters are still wanted
    push ax
    push dx
next:
    mov dx, COM1_CAUSE
    in al, dx
    and al, CAUSES
    cmp al, NO_CAUSE
    je done
    cmp al, TIMED_OUT
    je timed_out
    cmp al, LEVEL_REACHED
    jne fail
    mov al, 'L'
    call put
    mov cx, bx                      # so many must be there
1:  mov dx, COM1_STATUS
    in al, dx
    test al, RECEIVED
    jz fail
    call take
    jz done
    loop 1b
    jmp next
timed_out:
    mov al, 'T'
    call put
    mov cx, bx                      # fewer must be there, and at least one
1:  call take
    jz done
    dec cx
    jz fail
    mov dx, COM1_STATUS
    in al, dx
    test al, RECEIVED
    jnz 1b
    jmp next
done:
    mov al, PIC_EOI
    out PIC, al
    pop dx
    pop ax
    iret

# take: read a character.  With the last one wanted, the receiver stops interrupting, and ZF is set.
take:
    mov dx, COM1_DATA
    in al, dx
    dec bp
    jnz 1f
    mov dx, COM1_INTERRUPTS
    mov al, 0
    out dx, al
    test bp, bp
1:  ret

levels:
    .byte 1, 0, 4, 1, 8, 2, 14, 3, 0

console
