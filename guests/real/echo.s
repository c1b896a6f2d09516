# echo: send back what comes in.
#
# Teaches: receiving by polling; the data-ready bit of the line status register.
# Mode:    real (16-bit), at 0x1000.
# Reads:   the serial port.
# Prints:  a prompt, then every character it receives; behind a carriage return, as a terminal
#          sends it for Enter, a line feed.
# Ends:    on Ctrl-D (character 4): HLT, status 0.

.intel_syntax noprefix
.include "console.inc"
.code16

.set CTRL_D, 4

    cld
    mov si, offset prompt
    call print
next:
    mov dx, COM1_STATUS
wait:
    in al, dx
    test al, RECEIVED
    jz wait
    mov dx, COM1_DATA
    in al, dx                       # reading takes the character out of the UART
    cmp al, CTRL_D
    je end
    mov bl, al                      # put changes AX
    call put
    cmp bl, '\r'
    jne next
    mov al, '\n'
    call put
    jmp next
end:
    mov si, offset farewell
    call print
    hlt

console

prompt:
    .asciz "Type something; Ctrl-D ends.\n"
farewell:
    .asciz "Bye.\n"
