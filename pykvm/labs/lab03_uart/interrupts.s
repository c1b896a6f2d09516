# interrupts: an echo on COM2 that never polls.  Each time that the transmitter is empty, it sends the next
# character that came in; after Ctrl-D it halts.

.intel_syntax noprefix
.code16

.set COM2, 0x2F8
.set VECTOR, 0x23                   # IRQ 3
.set QUEUE, 0x4000
.set SEND_TOO, 0x03

    mov word ptr [VECTOR * 4], offset on_serial
    mov word ptr [VECTOR * 4 + 2], 0
    mov al, 0x11                    # ICW1 to ICW4
    out 0x20, al
    mov al, VECTOR - 3
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, ~(1 << 3) & 0xFF
    out 0x21, al
    xor bx, bx                      # BL: where the next one goes in; BH: where it comes out
    xor bp, bp                      # 1 after Ctrl-D
    mov dx, COM2 + 4
    mov al, 0x0B                    # DTR, RTS, OUT2
    out dx, al
    mov dx, COM2 + 1
    mov al, 1
    out dx, al
again:
    sti
    hlt
    cli
    test bp, bp
    jz again
    cmp bl, bh
    jne again
    hlt

on_serial:
    push ax
    push dx
cause:
    mov dx, COM2 + 2
    in al, dx
    test al, 1
    jnz done
    and al, 0b1110
    cmp al, 0b0010
    je empty
    mov dx, COM2
    in al, dx
    cmp al, 4
    jne keep
    mov bp, 1
    jmp cause
keep:
    mov di, bx
    and di, 0xFF
    mov [QUEUE + di], al
    inc bl
    mov dx, COM2 + 1
    mov al, SEND_TOO
    out dx, al
    jmp cause
empty:
    cmp bl, bh
    je idle
    mov di, bx
    shr di, 8
    mov al, [QUEUE + di]
    inc bh
    mov dx, COM2
    out dx, al
    jmp cause
idle:
    mov dx, COM2 + 1
    mov al, 1
    out dx, al
    jmp cause
done:
    mov al, 0x20                    # end of interrupt
    out 0x20, al
    pop dx
    pop ax
    iret
