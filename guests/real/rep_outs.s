# rep_outs: send whole strings with one instruction.
#
# Teaches: OUTSB and OUTSD with a repeat prefix.  A UART takes one character a time, unless its
#          FIFO is on: then 16 of them each time it is empty.  A hypervisor may see such a string
#          in one piece or in many.
# Mode:    real (16-bit), at 0x1000.
# Prints:  a text of 72 characters, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if SI or CX is not where it must be after OUTS.

.intel_syntax noprefix
.include "console.inc"
.code16

.set FIFO_ON, 1                     # in COM1_FIFO
.set FIFO_SIZE, 16

    cld
    mov dx, COM1_FIFO
    mov al, FIFO_ON
    out dx, al

    mov si, offset text
    mov bx, offset text_end
next:
    mov dx, COM1_STATUS
wait:
    in al, dx
    test al, CAN_SEND               # with the FIFO on: it is empty
    jz wait
    mov cx, bx
    sub cx, si
    cmp cx, FIFO_SIZE
    jbe send
    mov cx, FIFO_SIZE
send:
    mov dx, COM1_DATA
    rep outsb
    test cx, cx
    jnz fail
    cmp si, bx
    jb next
    jne fail                        # one too many

    # Backwards, and 4 bytes a time: the last one is what the address register keeps.
    std
    mov si, offset addresses_end - 4
    mov cx, (addresses_end - addresses) / 4
    mov dx, PCI_ADDRESS
    rep outsd
    cld
    cmp si, offset addresses - 4
    jne fail
    in eax, dx
    cmp eax, [addresses]
    jne fail
    jmp pass

console

text:
    .ascii "0123456789abcdef"
    .ascii "A FIFO of sixteen bytes takes this text in five turns.\n"
    .ascii "\n"
text_end:
    .balign 4
addresses:                          # of PCI configuration space; bit 31 is "enabled"
    .long 0x80010000, 0x80020000, 0x80030000, 0x80040000
addresses_end:
