# real_to_long: from real mode through protected mode to long mode, as a 64-bit kernel's loader.
#
# Teaches: the order of things: protected mode; CR4.PAE; page tables in CR3; EFER.LME; CR0.PG;
#          the far jump to a 64-bit code segment (SDM vol. 3A, "Initializing IA-32e mode").
# Mode:    real (16-bit), at 0x1000; ends in 64-bit long mode.
# Prints:  one line from each mode, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a register is not 64 bits wide.

.intel_syntax noprefix
.include "console.inc"
.code16

.set CODE32, 0x08
.set DATA, 0x10
.set CODE64, 0x18
.set CR0_PE, 1 << 0
.set CR0_PG, 1 << 31
.set CR4_PAE, 1 << 5
.set EFER, 0xC0000080
.set EFER_LME, 1 << 8
.set EFER_LMA_BIT, 10               # read-only: the processor is in long mode

.set PML4, 0x10000                  # three tables of one page each, in RAM that is zero
.set POINTERS, 0x11000
.set DIRECTORY, 0x12000
.set PRESENT_WRITABLE, 3
.set LARGE_PAGE, 1 << 7             # in a directory entry: it maps 2 MiB itself

    cld
    mov si, offset text_real
    call print16
    lgdt [gdt_pointer]
    mov eax, cr0
    or eax, CR0_PE
    mov cr0, eax
    jmp CODE32:protected

.code32
protected:
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x1000
    mov esi, offset text_protected
    call print32

    # The first 2 MiB at their own addresses: where this code is must stay where it is.
    mov dword ptr [PML4], POINTERS | PRESENT_WRITABLE
    mov dword ptr [POINTERS], DIRECTORY | PRESENT_WRITABLE
    mov dword ptr [DIRECTORY], 0 | PRESENT_WRITABLE | LARGE_PAGE
    mov eax, PML4
    mov cr3, eax

    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax                    # long mode, but its 32-bit compatibility mode ...
    jmp CODE64:long                 # ... until this jump

.code64
long:
    mov ecx, EFER
    rdmsr
    bt eax, EFER_LMA_BIT
    jnc fail64
    lea rsi, text_long[rip]
    call print64
    mov rax, 0x123456789ABCDEF0
    mov r15, rax
    shr r15, 32
    cmp r15d, 0x12345678
    jne fail64
    jmp pass64

.code16
console 16
.code32
console 32
.code64
console 64

text_real:
    .asciz "Real mode.\n"
text_protected:
    .asciz "Protected mode.\n"
text_long:
    .asciz "Long mode.\n"

    .balign 8
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF        # code, 32-bit
    .quad 0x00CF92000000FFFF        # data
    .quad 0x00AF9A000000FFFF        # code, 64-bit (the L bit)
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
