# ipi: two processors interrupt each other by turns.
#
# Teaches: interprocessor interrupts, their end, and waiting for them without a gap.
# Mode:    real (16-bit), at 0x1000; the other processor starts in page 0x2000.
# Prints:  PASS.
# Ends:    HLT with interrupts off on both, status 0; debug-exit 1 (status 3) if a count is wrong.

.intel_syntax noprefix
.include "console.inc"
.include "apic.inc"
.code16

.set ROUNDS, 50
.set PING, 0x40                     # to the other processor
.set PONG, 0x41                     # back to the first

    cld
    mov word ptr [PING * 4], offset on_ping
    mov word ptr [PING * 4 + 2], cs
    mov word ptr [PONG * 4], offset on_pong
    mov word ptr [PONG * 4 + 2], cs
    x2apic_enable
    mov eax, ICR_ALL_OTHERS_INIT
    x2apic_write X2APIC_ICR
    mov eax, ICR_ALL_OTHERS_STARTUP | 2
    x2apic_write X2APIC_ICR
1:  pause
    cmp byte ptr [ready], 0
    je 1b

    mov bx, ROUNDS
round:
    mov eax, ICR_ASSERT | PING
    mov ecx, X2APIC_ICR
    mov edx, 1                      # the other one's id
    wrmsr
1:  sti                             # takes effect behind HLT
    hlt
    cli
    mov ax, ROUNDS + 1
    sub ax, bx
    cmp [pongs], ax
    jb 1b
    dec bx
    jnz round

    cmp word ptr [pings], ROUNDS
    jne fail
    cmp word ptr [pongs], ROUNDS
    jne fail
    jmp pass

on_pong:
    inc word ptr [pongs]
    jmp end_of_interrupt

on_ping:
    inc word ptr [pings]
    push eax
    push ecx
    push edx
    mov eax, ICR_ASSERT | PONG
    x2apic_write X2APIC_ICR         # to id 0
    pop edx
    pop ecx
    pop eax
end_of_interrupt:
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
    mov sp, 0x9000
    x2apic_enable
    mov byte ptr [ready], 1
1:  sti
    hlt
    cli
    cmp word ptr [pings], ROUNDS
    jb 1b
    cli
    hlt

console

    .balign 2
pings:
    .word 0
pongs:
    .word 0
ready:
    .byte 0

    .balign 0x1000
    ljmp 0, offset started
