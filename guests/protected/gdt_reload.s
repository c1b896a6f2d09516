# gdt_reload: back to real mode, where there is no BIOS, and out again with another GDT.
#
# Teaches: the way back needs 16-bit segments of 64 KiB before CR0.PE is cleared (SDM vol. 3A,
#          "Switching back to real-address mode"); a segment keeps its descriptor until it is
#          loaded again, whatever the GDT is by then; a segment need not begin at 0.
# Mode:    protected (32-bit), at 0x1000, with the GDT that the hypervisor made.
# Prints:  one line a mode, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the new table is not the one in use.

.intel_syntax noprefix
.include "console.inc"
.code32

.set CODE32, 0x08
.set DATA32, 0x10
.set CODE16, 0x18
.set DATA16, 0x20
.set WINDOW, 0x18                   # in the second table
.set CR0_PE, 1 << 0
.set WINDOW_BASE, 0x20000
.set STAMP, 0x5AFEC0DE

    cld
    mov esi, offset text_first
    call print32
    mov dword ptr [WINDOW_BASE], STAMP

    lgdt [first_pointer]
    jmp CODE16:still_protected

.code16
still_protected:                    # protected mode with 16-bit segments
    mov ax, DATA16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and eax, ~CR0_PE
    mov cr0, eax
    jmp 0:real                      # CS becomes a real-mode segment

real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x1000
    mov si, offset text_real
    call print16

    lgdt [second_pointer]           # with a 16-bit operand size: 24 bits of base, enough here
    mov eax, cr0
    or eax, CR0_PE
    mov cr0, eax
    jmp CODE32:protected_again

.code32
protected_again:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x1000
    mov ax, WINDOW
    mov fs, ax
    mov esi, offset text_again
    call print32
    cmp dword ptr fs:[0], STAMP     # through the segment that begins at WINDOW_BASE
    jne fail32
    jmp pass32

.code16
console 16
.code32
console 32

text_first:
    .asciz "Protected mode.\n"
text_real:
    .asciz "Real mode.\n"
text_again:
    .asciz "Protected mode with another GDT.\n"

    .balign 8
first:
    .quad 0
    .quad 0x00CF9A000000FFFF        # code, 32-bit, 4 GiB
    .quad 0x00CF92000000FFFF        # data, 4 GiB
    .quad 0x00009A000000FFFF        # code, 16-bit, 64 KiB
    .quad 0x000092000000FFFF        # data, 64 KiB
first_end:
second:
    .quad 0
    .quad 0x00CF9A000000FFFF        # code, 32-bit, 4 GiB
    .quad 0x00CF92000000FFFF        # data, 4 GiB
    .quad 0x0040920200000FFF        # data, base 0x20000, 4 KiB
second_end:

first_pointer:
    .word first_end - first - 1
    .long first
second_pointer:
    .word second_end - second - 1
    .long second
