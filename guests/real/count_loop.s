# count_loop: count down without leaving the guest, to measure what an instruction costs.
#
# Teaches: between two exits the guest runs at the processor's own speed (unless KVM emulates it).
# Mode:    real (16-bit), at 0x1000.
# Takes:   at load address + 4 how often, as a 32-bit number, in the file 1000.  Others write
#          there before it runs.
# Prints:  nothing.
# Ends:    HLT, status 0.

.intel_syntax noprefix
.code16

    jmp short start
    .org 4
count:
    .long 1000
start:
    mov ecx, [count]
next:
    dec ecx
    jnz next
    hlt
