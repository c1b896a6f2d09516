# in: IN of a byte from the port that is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov edx, r12d
    in al, dx
    stamped
