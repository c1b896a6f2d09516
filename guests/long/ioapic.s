# ioapic: devices interrupt through the I/O APIC.
#
# Teaches: the IOAPIC's index and data registers; a redirection entry: vector, trigger mode, mask;
#          where a PC wires the timer (input 2) and the first serial port (4); the end of an
#          interrupt at the local APIC, upon which a level-triggered one that is still there comes
#          again.
# Mode:    long (64-bit), at 0x1000.
# Takes:   at load address + 8 the trigger mode of the serial port's entry, as a 32-bit number
#          (0: edge, in the file; 0x8000: level), at + 12 how often the timer is to interrupt, as a
#          byte: 0 for a machine that has none; in the file 5.  Others write there before it runs.
# Prints:  a line, sent by interrupts of the transmitter; a dot at each of the timer's; then PASS.
# Ends:    HLT with interrupts off, status 0.

.intel_syntax noprefix
.include "console.inc"
.include "apic.inc"
.code64

.set CODE, 0x08                     # the code segment that we were entered with
.set SERIAL_VECTOR, 0x40
.set TIMER_VECTOR, 0x41
.set SERIAL_INPUT, 4
.set TIMER_INPUT, 2
.set IOAPIC, 0xFEC00000             # where a PC has it, and the MADT says it is
.set IOAPIC_INDEX, 0x00
.set IOAPIC_DATA, 0x10
.set REDIRECTION, 0x10              # two registers for each input
.set MASKED, 1 << 16
.set EMPTY, 1 << 1                  # in COM1_INTERRUPTS: the transmitter is
.set OUT2, 1 << 3                   # in COM1_MODEM: lets the UART interrupt
.set DIVISOR, 4096                  # of 1.193182 MHz: a tick each 3.4 ms

    jmp start
    .org 8
trigger:
    .long 0
ticks:
    .byte 5

start:
    cld
    lea rax, on_serial[rip]
    lea rdi, idt[rip + SERIAL_VECTOR * 16]
    call set_gate
    lea rax, on_tick[rip]
    lea rdi, idt[rip + TIMER_VECTOR * 16]
    call set_gate
    lidt idt_pointer[rip]
    x2apic_enable
    mov eax, LVT_MASKED             # input 0, by which the PICs interrupt: they have the lines, too
    x2apic_write X2APIC_LVT_LINT0
    mov ebp, IOAPIC

    mov ecx, SERIAL_INPUT
    mov eax, trigger[rip]
    or eax, SERIAL_VECTOR
    call redirect
    lea rsi, text[rip]
    mov dx, COM1_MODEM
    mov al, OUT2
    out dx, al
    mov dx, COM1_INTERRUPTS         # it is empty, so it interrupts at once
    mov al, EMPTY
    out dx, al
1:  sti
    hlt
    cli
    cmp byte ptr [rsi], 0
    jne 1b
    mov dx, COM1_INTERRUPTS
    mov al, 0
    out dx, al
    mov ecx, SERIAL_INPUT
    mov eax, MASKED
    call redirect

    movzx ebx, byte ptr ticks[rip]
    test ebx, ebx
    jz pass
    mov ecx, TIMER_INPUT
    mov eax, TIMER_VECTOR
    call redirect
    mov al, 0x34                    # counter 0, low byte then high byte, mode 2
    out PIT_CONTROL, al
    mov al, DIVISOR & 0xFF
    out PIT_COUNTER0, al
    mov al, DIVISOR >> 8
    out PIT_COUNTER0, al
1:  sti
    hlt
    cli
    test ebx, ebx
    jnz 1b
    mov al, '\n'
    call put
    jmp pass

# redirect: have the IOAPIC's input ECX send what the low half EAX of its entry says, to the first
# local APIC.  Changes ECX and EDX.
redirect:
    lea ecx, REDIRECTION[rcx * 2 + 1]
    mov [rbp + IOAPIC_INDEX], ecx
    mov dword ptr [rbp + IOAPIC_DATA], 0
    dec ecx
    mov [rbp + IOAPIC_INDEX], ecx
    mov [rbp + IOAPIC_DATA], eax
    ret

# set_gate: make the descriptor at RDI an interrupt gate to RAX (SDM vol. 3A, figure "64-Bit IDT
# Gate Descriptors").  Changes RAX.
set_gate:
    mov [rdi], ax
    mov word ptr [rdi + 2], CODE
    mov word ptr [rdi + 4], 0x8E00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], eax
    ret

on_serial:                          # RSI: what is still to be sent
    push rax
    push rcx
    push rdx
    mov dx, COM1_CAUSE              # reading this takes the request back
    in al, dx
    cmp byte ptr [rsi], 0
    je 1f
    lodsb
    mov dx, COM1_DATA               # and this makes the next one
    out dx, al
1:  xor eax, eax
    x2apic_write X2APIC_EOI
    pop rdx
    pop rcx
    pop rax
    iretq

on_tick:                            # EBX: how many are still to come
    push rax
    push rcx
    push rdx
    test ebx, ebx
    jz 1f
    dec ebx
    mov al, '.'
    call put
1:  xor eax, eax
    x2apic_write X2APIC_EOI
    pop rdx
    pop rcx
    pop rax
    iretq

console

text:
    .asciz "Each character an interrupt.\n"
    .balign 16
idt:
    .fill (TIMER_VECTOR + 1) * 2, 8, 0 # all vectors not present yet
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .quad idt
