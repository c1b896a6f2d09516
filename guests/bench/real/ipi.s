# ipi: an interprocessor interrupt to another processor, until its handler has written to memory.
# Real mode; the other one is started in page 0x2000.  The OUT to PIN before the turns lets the host
# move the first processor's thread away from the other one's.
#
# At load address + 4 the number of turns; at + 8 how the other one waits (0: it spins; else it
# halts), at + 12 how many turns of an empty loop it is given for that, 32 bits each.  Each turn
# stores its ticks at RESULTS, as the guests in long mode do.

.intel_syntax noprefix
.include "apic.inc"
.code16

.set DONE, 0x11
.set PIN, 0x12
.set RESULTS, 0x8000                # in segment 0; there is room for 0x1C00 turns
.set VECTOR, 0x40

    jmp short setup
    .org 4
count:
    .long 100
halts:
    .long 0
gap:
    .long 0
setup:
    cld
    mov word ptr [VECTOR * 4], offset on_interrupt
    mov word ptr [VECTOR * 4 + 2], cs
    x2apic_enable
    mov eax, ICR_ALL_OTHERS_INIT
    x2apic_write X2APIC_ICR
    mov eax, ICR_ALL_OTHERS_STARTUP | 2
    x2apic_write X2APIC_ICR
1:  pause
    cmp byte ptr [ready], 0
    je 1b

again:
    out PIN, al
    mov di, RESULTS
    mov ebp, [count]
turn:
    mov ecx, [gap]
    jecxz 2f
1:  dec ecx
    jnz 1b
2:  mov byte ptr [taken], 0
    rdtsc
    mov ebx, eax
    mov ecx, X2APIC_ICR
    mov eax, ICR_ASSERT | VECTOR
    mov edx, 1                      # the other one's id
    wrmsr
1:  cmp byte ptr [taken], 0
    je 1b
    rdtsc
    sub eax, ebx
    stosd
    dec ebp
    jnz turn
    out DONE, al
    jmp again

on_interrupt:
    mov byte ptr [taken], 1
    push eax
    push ecx
    push edx
    xor eax, eax
    x2apic_write X2APIC_EOI
    pop edx
    pop ecx
    pop eax
    iret

started:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7000
    x2apic_enable
    mov byte ptr [ready], 1
    sti
    cmp byte ptr [halts], 0
    jne 2f
1:  jmp 1b
2:  hlt
    jmp 2b

    .balign 64                      # what both processors write has lines of the cache to itself
taken:
    .byte 0
    .balign 64
ready:
    .byte 0

    .balign 0x1000
    ljmp 0, offset started
