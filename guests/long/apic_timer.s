# apic_timer: the local APIC's timer in long mode.
#
# Teaches: a 64-bit interrupt descriptor table; the local APIC's timer, periodic; its end of
#          interrupt; IRETQ.
# Mode:    long (64-bit), at 0x1000.
# Prints:  a dot at each of five ticks, then PASS.
# Ends:    HLT with interrupts off, status 0.

.intel_syntax noprefix
.include "console.inc"
.include "apic.inc"
.code64

.set VECTOR, 0x40
.set CODE, 0x08                     # the code segment that we were entered with
.set PERIODIC, 1 << 17              # in the timer's entry of the local vector table
.set DIVIDE_BY_16, 0b0011
.set TICKS, 5
.set COUNT, 200000

    cld
    lea rax, on_tick[rip]           # SDM vol. 3A, figure "64-Bit IDT Gate Descriptors"
    lea rdi, idt[rip + VECTOR * 16]
    mov [rdi], ax
    mov word ptr [rdi + 2], CODE
    mov word ptr [rdi + 4], 0x8E00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], eax
    lidt idt_pointer[rip]

    x2apic_enable
    mov eax, DIVIDE_BY_16
    x2apic_write X2APIC_TIMER_DIVIDE
    mov eax, PERIODIC | VECTOR
    x2apic_write X2APIC_LVT_TIMER
    mov eax, COUNT
    x2apic_write X2APIC_TIMER_START

    xor ebx, ebx
1:  sti
    hlt
    cli
    cmp ebx, TICKS
    jb 1b
    xor eax, eax                    # stop it
    x2apic_write X2APIC_TIMER_START
    mov al, '\n'
    call put
    jmp pass

on_tick:
    push rax
    push rcx
    push rdx
    cmp ebx, TICKS                  # one more may come before the code above looks
    jae 1f
    inc ebx
    mov al, '.'
    call put
1:  xor eax, eax
    x2apic_write X2APIC_EOI
    pop rdx
    pop rcx
    pop rax
    iretq

console

    .balign 16
idt:
    .fill (VECTOR + 1) * 2, 8, 0    # all vectors not present yet
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .quad idt
