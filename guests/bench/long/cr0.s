# cr0: MOV to CR0, which flips AM at each turn: in ring 0 it has no effect.

.intel_syntax noprefix
.include "bench.inc"
.code64

.set AM, 1 << 18

    bench
    mov rbx, cr0
    stamp
    mov cr0, rbx
    rdtsc
    xor ebx, AM
    next_turn
