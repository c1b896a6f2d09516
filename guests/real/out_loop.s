# out_loop: write to a port again and again, to measure what an exit costs.
#
# Teaches: each OUT leaves the guest; the loop around it is two instructions.
# Mode:    real (16-bit), at 0x1000.
# Takes:   at load address + 4 how often, as a 32-bit number (0: for ever), at + 8 the port, as a
#          16-bit number.  In the file: 1000 times, port 0x80.  Others write there before it runs.
# Prints:  nothing.
# Ends:    HLT, status 0; or never.

.intel_syntax noprefix
.include "ports.inc"
.code16

    jmp short start
    .org 4
count:
    .long 1000
port:
    .word POST
start:
    mov dx, [port]
    mov ecx, [count]                # 0 wraps around, and after 2^32 times it is 0 again ...
    mov al, 0
next:
    out dx, al
    dec ecx
    jnz next
    cmp dword ptr [count], 0
    je next                         # ... so that it goes on
    hlt
