# vmcall: VMCALL of a hypercall that does nothing: KVM_HC_VAPIC_POLL_IRQ.

.intel_syntax noprefix
.include "bench.inc"
.code64

.set KVM_HC_VAPIC_POLL_IRQ, 1

    bench
    stamp
    mov eax, KVM_HC_VAPIC_POLL_IRQ
    vmcall
    stamped
