# touch: the first write to each of `count` pages, one behind the other.  The operand is where they
# begin, with the logarithm of their size in its lowest bits, which are free.

.intel_syntax noprefix
.include "bench.inc"
.code64

.set LOGARITHM, 0x3F

    bench
    stamp
    mov byte ptr [r12], 1
    rdtsc
    mov ecx, operand[rip]
    and ecx, LOGARITHM
    mov ebx, 1
    shl rbx, cl
    add r12, rbx
    sub eax, r13d
    mov [r14], eax
    add r14, 4
    dec r15d
    jnz turn
    out DONE, al
    jmp again
