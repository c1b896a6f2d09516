# loop: as many turns of an empty loop as the operand says: what its two instructions take.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov ecx, r12d
1:  dec ecx
    jnz 1b
    stamped
