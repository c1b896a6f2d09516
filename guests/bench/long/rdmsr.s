# rdmsr: RDMSR of the register whose number is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    mov ecx, operand[rip]
    stamp
    rdmsr
    stamped
