# out: OUT of a byte to the port that is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov edx, r12d
    out dx, al
    stamped
