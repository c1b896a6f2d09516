# page_fault: give memory to an address when it is first touched.
#
# Teaches: demand paging: a page fault names the address in CR2, the handler makes a mapping and
#          returns, and the processor does the instruction again.
# Mode:    long (64-bit), at 0x1000.
# Prints:  the address that faulted, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the fault is not as it must be.

.intel_syntax noprefix
.include "console.inc"
.code64

.set WINDOW, 0x8000000000           # 512 GiB: the first address of the second PML4 entry
.set POINTERS, 0x10000              # pages of RAM, zero at the start
.set DIRECTORY, 0x11000
.set TABLE, 0x12000
.set PAGE, 0x13000
.set PRESENT_WRITABLE, 3
.set PAGE_FAULT, 14                 # the vector of #PF
.set WRITE_TO_NO_PAGE, 2            # its error code: bit 0 clear (not present), bit 1 write
.set CODE, 0x08                     # the code segment that we were entered with

    cld
    lidt idt_pointer[rip]
    lea rax, handler[rip]
    mov word ptr gate[rip], ax
    shr rax, 16
    mov word ptr gate[rip + 6], ax

    xor r12, r12
    mov rbp, rsp
    mov rdi, WINDOW
culprit:
    mov dword ptr [rdi], 0x1234ABCD
    cmp r12, 1                      # one fault
    jne fail
    cmp rsp, rbp
    jne fail
    cmp dword ptr [PAGE], 0x1234ABCD
    jne fail
    jmp pass

handler:                            # on the stack: error code, RIP, CS, RFLAGS, RSP, SS
    inc r12
    pop rax
    cmp rax, WRITE_TO_NO_PAGE
    jne fail
    mov rax, cr2
    cmp rax, rdi
    jne fail
    lea rcx, culprit[rip]
    cmp [rsp], rcx
    jne fail

    mov rdx, cr3                    # the tables that we were entered with, and ours below
    mov qword ptr [rdx + 1 * 8], POINTERS | PRESENT_WRITABLE
    mov qword ptr [POINTERS], DIRECTORY | PRESENT_WRITABLE
    mov qword ptr [DIRECTORY], TABLE | PRESENT_WRITABLE
    mov qword ptr [TABLE], PAGE | PRESENT_WRITABLE

    lea rsi, text[rip]
    call print
    mov rbx, cr2
    shr rbx, 32
    call print_hex
    mov rbx, cr2
    call print_hex
    mov al, '\n'
    call put
    iretq

console

text:
    .asciz "Page fault at "

    .balign 8
idt:
    .fill PAGE_FAULT * 2, 8, 0      # the vectors before it: not present
gate:                               # SDM vol. 3A, figure "64-bit IDT gate descriptors"
    .word 0                         # handler, bits 0 to 15
    .word CODE
    .word 0x8E00                    # present, interrupt gate
    .word 0                         # handler, bits 16 to 31
    .quad 0                         # handler, bits 32 to 63
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .quad idt
