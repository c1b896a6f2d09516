# spin: run for ever without leaving the guest.
#
# Teaches: such a guest gives the hypervisor no chance to look: only a signal to the thread that
#          runs it does.  Try --timeout, and Ctrl-C.
# Mode:    real (16-bit), at 0x1000.
# Prints:  one line, before.
# Ends:    never by itself: a timeout, status 124.

.intel_syntax noprefix
.include "console.inc"
.code16

    cld
    mov si, offset text
    call print
    jmp .

console

text:
    .asciz "Spinning.\n"
