# mmio_write: MOV of 4 bytes to the guest-physical address that is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov [r12], r12d
    stamped
