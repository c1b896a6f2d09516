# irqfd: an OUT whose device interrupts, to the interrupt's handler.  The operand is the port.
# Needs the local APIC in x2APIC mode.

.intel_syntax noprefix
.include "bench.inc"
.include "apic.inc"
.code64

.set VECTOR, 0x40

    bench
    gate VECTOR, on_interrupt
    mov eax, APIC_ENABLED | 0xFF
    x2apic_write X2APIC_SPURIOUS
    sti
again:
    mov r12, operand[rip]
    mov r15d, count[rip]
    mov r14d, RESULTS
turn:
    mov rbx, r14
    rdtsc
    mov r13d, eax
    mov edx, r12d
    out dx, al
1:  cmp rbx, r14                    # until the handler has stored its ticks
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
    iretq

    idt_here
