# real_to_protected: the classic way out of real mode.
#
# Teaches: a global descriptor table, LGDT, CR0.PE, and the far jump that loads CS with a 32-bit
#          code segment (SDM vol. 3A, "Mode switching").
# Mode:    real (16-bit), at 0x1000; ends in 32-bit protected mode.
# Prints:  one line from either mode, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if an address above 1 MiB is not reached.

.intel_syntax noprefix
.include "console.inc"
.code16

.set CODE, 0x08                     # selectors: offsets into the table below
.set DATA, 0x10
.set PROTECTION, 1 << 0             # CR0.PE
.set ABOVE_1_MIB, 0x200000

    cld
    mov si, offset text_real
    call print16
    lgdt [gdt_pointer]
    mov eax, cr0
    or eax, PROTECTION
    mov cr0, eax                    # protected, but CS still is the 16-bit segment ...
    jmp CODE:protected              # ... until this jump

.code32
protected:
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x1000
    mov esi, offset text_protected
    call print32
    # In real mode no register reaches this far, and no instruction is 32 bits wide by default.
    mov dword ptr [ABOVE_1_MIB], 0x12345678
    cmp dword ptr [ABOVE_1_MIB], 0x12345678
    jne fail32
    jmp pass32

.code16
console 16
.code32
console 32

text_real:
    .asciz "Real mode.\n"
text_protected:
    .asciz "Protected mode.\n"

    .balign 8
gdt:                                # SDM vol. 3A, figure "Segment descriptor"
    .quad 0                         # the null descriptor
    .quad 0x00CF9A000000FFFF        # base 0, limit 4 GiB, code, 32-bit
    .quad 0x00CF92000000FFFF        # base 0, limit 4 GiB, data, writable
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
