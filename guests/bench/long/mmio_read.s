# mmio_read: MOV of 4 bytes from the guest-physical address that is the operand.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    mov ecx, [r12]
    stamped
