# wrmsr: WRMSR to the register whose number is the operand, which must take any value.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    mov ecx, operand[rip]
    stamp
    wrmsr                           # of the first stamp, which is in EDX:EAX
    stamped
