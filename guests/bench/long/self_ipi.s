# self_ipi: an interprocessor interrupt to itself, from WRMSR to its handler's first instruction.
# Needs the local APIC in x2APIC mode.

.intel_syntax noprefix
.include "bench.inc"
.include "apic.inc"
.code64

.set VECTOR, 0x40
.set ICR_SELF, 0x44000              # plus a vector

    bench
    gate VECTOR, on_interrupt
    mov eax, APIC_ENABLED | 0xFF
    x2apic_write X2APIC_SPURIOUS
    mov ecx, X2APIC_ICR
    sti
    stamp
    xor edx, edx
    mov eax, ICR_SELF | VECTOR
    mov r12, r14
    wrmsr
1:  cmp r12, r14                    # until the handler has stored its ticks
    je 1b
    dec r15d
    jnz turn
    out DONE, al
    jmp again

on_interrupt:
    rdtsc
    sub eax, r13d
    mov [r14], eax
    add r14, 4
    xor eax, eax
    x2apic_write X2APIC_EOI
    mov ecx, X2APIC_ICR
    iretq

    idt_here
