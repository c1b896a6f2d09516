# switch: from real to protected mode.  It does not get there: find out why (there is more than one mistake).
#
# It is to end in flat 32-bit protected mode, copy the complement of the word at 2 MiB to the word behind it, and
# HLT.  The letters that it sends to port 0xE9 tell how far it came: pykvm run switch.bin --debugcon stdio

.intel_syntax noprefix
.code16

.set DEBUG, 0xE9
.set CODE, 0x08                     # selectors: offsets into the GDT
.set DATA, 0x10
.set TWO_MIB, 0x200000

    mov al, 'R'
    out DEBUG, al
    lgdt [gdt_pointer]
    mov eax, cr0
    or eax, 1                       # CR0.PE
    mov cr0, eax
    jmp CODE:protected

.code32
protected:
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
    .quad 0                         # the null descriptor
    .quad 0x00CF92000000FFFF        # code: base 0, limit 4 GiB, 32-bit
    .quad 0x004F92000000FFFF        # data: base 0, limit 4 GiB, writable
gdt_pointer:
    .word 2                         # the table's limit
    .long gdt
