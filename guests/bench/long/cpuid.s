# cpuid: CPUID of the leaf that is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov eax, r12d
    cpuid
    stamped
