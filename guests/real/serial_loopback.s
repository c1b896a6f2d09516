# serial_loopback: the self-test that a UART's driver may do before it trusts it.
#
# Teaches: what the 16550A can be asked without a cable: scratch register, FIFO detection,
#          loop-back of characters and of modem lines, overrun.
# Mode:    real (16-bit), at 0x1000.
# Prints:  the name of each step before it is done, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) at the first wrong answer.

.intel_syntax noprefix
.include "console.inc"
.code16

.set FIFO_ON_AND_CLEAR, 0x07        # in COM1_FIFO
.set FIFO_IS_ON, 0xC0               # in COM1_CAUSE: both bits on a 16550A
.set FIFO_SIZE, 16
.set LOOP_BACK, 1 << 4              # in COM1_MODEM
.set EIGHT_BITS, 0x03               # in COM1_FORMAT
.set OVERRUN, 1 << 1                # in COM1_STATUS

    cld
    mov dx, COM1_FORMAT
    mov al, EIGHT_BITS
    out dx, al

    mov si, offset text_scratch
    call print
    xor bx, bx
    mov dx, COM1_SCRATCH
1:  mov al, bl
    out dx, al
    in al, dx
    cmp al, bl
    jne fail
    inc bl
    jnz 1b

    mov si, offset text_fifo
    call print
    mov dx, COM1_FIFO
    mov al, FIFO_ON_AND_CLEAR
    out dx, al
    mov dx, COM1_CAUSE
    in al, dx
    and al, FIFO_IS_ON
    cmp al, FIFO_IS_ON
    jne fail

    mov si, offset text_data
    call print
    mov dx, COM1_MODEM
    mov al, LOOP_BACK
    out dx, al
2:  mov dx, COM1_DATA
    mov al, bl
    out dx, al
    call receive
    cmp al, bl
    jne broken
    inc bl
    jnz 2b

    call normal
    mov si, offset text_overrun
    call print
    mov dx, COM1_MODEM
    mov al, LOOP_BACK
    out dx, al
    mov dx, COM1_DATA
    mov cx, FIFO_SIZE + 1
    mov al, 'a'
3:  out dx, al
    inc al
    loop 3b
    mov dx, COM1_STATUS
    in al, dx
    test al, OVERRUN
    jz broken
    in al, dx                       # reading the status took the error away
    test al, OVERRUN
    jnz broken
    mov bl, 'a'                     # the FIFO kept the first sixteen
    mov cx, FIFO_SIZE
4:  call receive
    cmp al, bl
    jne broken
    inc bl
    loop 4b
    mov dx, COM1_STATUS
    in al, dx
    test al, RECEIVED
    jnz broken

    call normal
    mov si, offset text_modem
    call print
    mov di, 15
5:  mov dx, COM1_MODEM
    mov ax, di
    or al, LOOP_BACK
    out dx, al
    mov dx, COM1_MODEM_STATUS
    in al, dx
    shr al, 4                       # the inputs, without what changed
    cmp al, modem[di]
    jne broken
    dec di
    jns 5b
    call normal
    jmp pass

broken:
    call normal
    jmp fail

# receive: wait for a character, and get it in AL.
receive:
    mov dx, COM1_STATUS
1:  in al, dx
    test al, RECEIVED
    jz 1b
    mov dx, COM1_DATA
    in al, dx
    ret

# normal: take the UART out of loop-back.
normal:
    mov dx, COM1_MODEM
    mov al, 0
    out dx, al
    ret

console

text_scratch:
    .asciz "scratch register\n"
text_fifo:
    .asciz "FIFO\n"
text_data:
    .asciz "loop-back of all characters\n"
text_overrun:
    .asciz "overrun\n"
text_modem:
    .asciz "loop-back of the modem lines\n"

# In loop-back DTR, RTS, OUT1, OUT2 (MCR bits 0 to 3) lead to DSR, CTS, RI, DCD (MSR bits 5, 4,
# 6, 7): the two lowest change places.
modem:
    .byte 0x0, 0x2, 0x1, 0x3, 0x4, 0x6, 0x5, 0x7, 0x8, 0xA, 0x9, 0xB, 0xC, 0xE, 0xD, 0xF
