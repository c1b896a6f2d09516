# clock: read the date and time from the real-time clock.
#
# Teaches: index and data port; the update flag (between two updates there is time to read); that
#          the clock counts in decimal digits, four bits each (BCD).
# Mode:    real (16-bit), at 0x1000.
# Prints:  the date and time (UTC where the host's clock is right), as 2026-01-31 23:59:59.
# Ends:    HLT, status 0.

.intel_syntax noprefix
.include "console.inc"
.code16

.set SECONDS, 0x00
.set MINUTES, 0x02
.set HOURS, 0x04
.set DAY, 0x07
.set MONTH, 0x08
.set YEAR, 0x09
.set CENTURY, 0x32
.set STATUS_A, 0x0A
.set UPDATE_IN_PROGRESS, 1 << 7     # in STATUS_A: within 244 us the registers change

    cld
again:
    mov al, STATUS_A
    call read
    test al, UPDATE_IN_PROGRESS
    jnz again
    mov si, offset order
    mov di, offset digits
    mov cx, order_end - order
1:  lodsb
    call read
    stosb
    loop 1b
    mov al, SECONDS                 # took it longer than 244 us?  Then the time may be torn
    call read
    cmp al, [di - 1]
    jne again

    mov si, offset digits
    mov di, offset separators
    mov cx, order_end - order
2:  lodsb
    mov bl, al
    shr al, 4
    add al, '0'
    call put
    mov al, bl
    and al, 0x0F
    add al, '0'
    call put
    mov al, [di]
    inc di
    test al, al
    jz 3f
    call put
3:  loop 2b
    hlt

# read: get the register whose index is in AL, in AL.
read:
    out CMOS_INDEX, al
    in al, CMOS_DATA
    ret

console

order:
    .byte CENTURY, YEAR, MONTH, DAY, HOURS, MINUTES, SECONDS
order_end:
separators:
    .ascii "\0-- ::\n"
digits:
    .skip order_end - order
