# Lab 4, solved.

.intel_syntax noprefix
.code16

.set DEBUG, 0xE9
.set CODE, 0x08
.set DATA, 0x10
.set TWO_MIB, 0x200000

    mov al, 'R'
    out DEBUG, al
    lgdt [gdt_pointer]
    mov eax, cr0
    or eax, 1
    mov cr0, eax
    jmp CODE:protected

.code32
protected:
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x1000
    mov al, 'P'
    out DEBUG, al
    mov eax, [TWO_MIB]
    not eax
    mov [TWO_MIB + 4], eax
    mov al, 'D'
    out DEBUG, al
    hlt

    .balign 8
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF
    .quad 0x00CF92000000FFFF
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
