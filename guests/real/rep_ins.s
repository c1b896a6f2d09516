# rep_ins: receive whole strings with one instruction.
#
# Teaches: INSB and INSD with a repeat prefix.  Where KVM gathers the elements of one instruction
#          into a single exit, a hypervisor must heed its count, or all but one are lost.
# Mode:    real (16-bit), at 0x1000.
# Prints:  what came back through the UART's loop-back, PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if an element is wrong, missing or too many.

.intel_syntax noprefix
.include "console.inc"
.code16

.set FIFO_ON, 1                     # in COM1_FIFO
.set LOOP_BACK, 1 << 4              # in COM1_MODEM: what is sent is received
.set EIGHT_BITS, 0x03               # in COM1_FORMAT
.set CMOS_VALID, 0x0D               # a CMOS register that always reads 0x80
.set VALID, 0x80
.set LONG_STRING, 5000              # more than one page
.set CANARY, 0x5A
.set BUFFER, 0x2000

    cld
    # Sixteen characters through the UART and back: each INSB must take the next one.
    mov dx, COM1_FORMAT
    mov al, EIGHT_BITS              # after a reset it sends and receives five
    out dx, al
    mov dx, COM1_MODEM
    mov al, LOOP_BACK
    out dx, al
    mov dx, COM1_FIFO
    mov al, FIFO_ON
    out dx, al
    mov si, offset text
    mov cx, text_end - text
    mov dx, COM1_DATA
    rep outsb
    mov byte ptr [BUFFER + text_end - text], CANARY
    mov di, BUFFER
    mov cx, text_end - text
    rep insb
    mov bl, CANARY
    cmp bl, [di]                    # nothing was written behind the end
    jne broken
    cmp di, BUFFER + text_end - text
    jne broken
    mov si, offset text
    mov di, BUFFER
    mov cx, text_end - text
    repe cmpsb
    jne broken
    call normal
    mov si, BUFFER
    mov byte ptr [di], 0
    call print

    # A long string of equal bytes, which crosses pages.
    mov al, CMOS_VALID
    out CMOS_INDEX, al
    mov byte ptr [BUFFER + LONG_STRING], CANARY
    mov di, BUFFER
    mov cx, LONG_STRING
    mov dx, CMOS_DATA
    rep insb
    cmp di, BUFFER + LONG_STRING
    jne fail
    mov al, CANARY
    scasb
    jne fail
    mov di, BUFFER
    mov cx, LONG_STRING
    mov al, VALID
    repe scasb
    jne fail

    # Four bytes a time, backwards.  There is no PCI device, which reads as all ones.
    mov eax, 0x80FFF800             # bus 255, device 31, function 0
    mov dx, PCI_ADDRESS
    out dx, eax
    std
    mov di, BUFFER + 9 * 4
    mov cx, 10
    mov dx, PCI_DATA
    rep insd
    cld
    cmp di, BUFFER - 4
    jne fail
    mov di, BUFFER
    mov cx, 10
    mov eax, -1
    repe scasd
    jne fail
    scasb                           # the byte behind them is still what it was
    je fail
    jmp pass

broken:
    call normal
    jmp fail

# normal: take the UART out of loop-back.
normal:
    mov dx, COM1_MODEM
    mov al, 0
    out dx, al
    ret

console

text:
    .ascii "There and back.\n"
text_end:
