# cr4: MOV to CR4, which flips MCE at each turn: a bit that no host leaves to its guests.

.intel_syntax noprefix
.include "bench.inc"
.code64

.set MCE, 1 << 6

    bench
    mov rbx, cr4
    stamp
    mov cr4, rbx
    rdtsc
    xor ebx, MCE
    next_turn
