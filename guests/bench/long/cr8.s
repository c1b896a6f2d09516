# cr8: MOV to CR8, the task priority, which changes at each turn between 0 and 1.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    xor ebx, ebx
    stamp
    mov cr8, rbx
    rdtsc
    xor ebx, 1
    next_turn
