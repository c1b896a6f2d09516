# pic_ticks: the timer interrupts in protected mode.
#
# Teaches: hardware interrupts through an interrupt descriptor table; why the controllers' vectors
#          are moved: those that a BIOS gives IRQ 0 to 7 are exceptions here; IRETD.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  a dot at each of five ticks, then PASS.
# Ends:    HLT with interrupts off, status 0.

.intel_syntax noprefix
.include "console.inc"
.code32

.set VECTOR, 0x20                   # IRQ 0
.set CODE, 0x08                     # the code segment that we were entered with
.set TICKS, 5
.set DIVISOR, 4096                  # of 1.193182 MHz: a tick each 3.4 ms

    cld
    mov eax, offset on_tick         # SDM vol. 3A, figure "IDT gate descriptors"
    mov word ptr idt[VECTOR * 8], ax
    mov word ptr idt[VECTOR * 8 + 2], CODE
    mov word ptr idt[VECTOR * 8 + 4], 0x8E00
    shr eax, 16
    mov word ptr idt[VECTOR * 8 + 6], ax
    lidt [idt_pointer]

    mov al, PIC_INIT
    out PIC, al
    mov al, VECTOR
    out PIC_MASK, al
    mov al, 1 << 2
    out PIC_MASK, al
    mov al, 1
    out PIC_MASK, al
    mov al, 0xFE                    # the timer alone
    out PIC_MASK, al
    mov al, 0x34                    # counter 0, low byte then high byte, mode 2
    out PIT_CONTROL, al
    mov al, DIVISOR & 0xFF
    out PIT_COUNTER0, al
    mov al, DIVISOR >> 8
    out PIT_COUNTER0, al

    xor ebx, ebx
1:  sti
    hlt
    cli
    cmp ebx, TICKS
    jb 1b
    mov al, 0xFF
    out PIC_MASK, al
    mov al, '\n'
    call put
    jmp pass

on_tick:
    push eax
    push edx
    cmp ebx, TICKS                  # one more may come before the code above looks
    jae 1f
    inc ebx
    mov al, '.'
    call put
1:  mov al, PIC_EOI
    out PIC, al
    pop edx
    pop eax
    iretd

console

    .balign 8
idt:
    .fill VECTOR + 1, 8, 0          # all vectors not present yet
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .long idt
