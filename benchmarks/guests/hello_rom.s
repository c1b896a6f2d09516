# hello_rom: guests/hello.s as the firmware of a machine, which any hypervisor starts unchanged.
#
# Mode:    real (16-bit), from the reset vector; 64 KiB that end at 4 GiB.
# Prints:  the greeting of guests/hello.s, polling the UART as it does.
# Ends:    debug-exit 0: status 1.

.intel_syntax noprefix
.include "greeting.inc"
.code16

start:
    cld
    mov si, offset text
next:
    lods al, byte ptr cs:[si]       # the image is where CS is after reset, not at DS
    test al, al
    jz done
    mov ah, al
    mov dx, COM1_STATUS
wait:
    in al, dx
    test al, CAN_SEND
    jz wait
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp next
done:
    mov dx, DEBUG_EXIT
    mov al, 0
    out dx, al
    hlt

text:
    greeting

    .org 0xFFF0                     # the reset vector
    jmp start
    .org 0x10000
