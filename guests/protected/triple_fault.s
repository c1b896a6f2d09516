# triple_fault: crash as completely as a processor can.
#
# Teaches: an exception whose handler cannot be called is a double fault; if that one's handler
#          cannot be called either, the processor shuts down (SDM vol. 3A, "Interrupt 8").
# Mode:    protected (32-bit), at 0x1000.
# Prints:  one line, before.
# Ends:    a crash, status 126.

.intel_syntax noprefix
.include "console.inc"
.code32

.set BEYOND_THE_GDT, 0xFFF8

    cld
    mov esi, offset text
    call print
    lidt [no_idt]
    mov ax, BEYOND_THE_GDT
    mov ds, ax                      # #GP, then #GP for want of a gate: #DF, and no gate for it
    jmp fail

console

text:
    .asciz "Triple fault ahead.\n"
no_idt:
    .word 0
    .long 0
