# paging32: 32-bit paging, two levels of tables.
#
# Teaches: page directory and page table, CR3, CR0.PG, CR0.WP, page faults and INVLPG (SDM
#          vol. 3A, "32-bit paging").
# Mode:    protected (32-bit), at 0x1000.
# Prints:  one line a step, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if an address is not translated as it must be.

.intel_syntax noprefix
.include "console.inc"
.code32

.set DIRECTORY, 0x10000             # pages of RAM, zero at the start
.set IDENTITY_TABLE, 0x11000
.set WINDOW_TABLE, 0x12000
.set FIRST_PAGE, 0x20000            # two pages to look at through the window
.set SECOND_PAGE, 0x21000
.set WINDOW, 0x40000000             # a linear address where no RAM is
.set PRESENT, 1 << 0
.set WRITABLE, 1 << 1
.set CR0_WP, 1 << 16
.set CR0_PG, 1 << 31
.set PAGE_FAULT, 14                 # the vector of #PF
.set WRITE_TO_PRESENT_PAGE, 3       # its error code: bit 0 present, bit 1 write

    cld
    mov dword ptr [FIRST_PAGE], 0x11111111
    mov dword ptr [SECOND_PAGE], 0x22222222

    # Calling a handler reads the GDT.  The one that we were given lies at the top of RAM, where
    # nothing will be mapped; CS and the others stay as they are.
    lgdt [gdt_pointer]

    # The first 4 MiB at their own addresses, page by page.
    mov edi, IDENTITY_TABLE
    mov eax, 0 | PRESENT | WRITABLE
    mov ecx, 1024
1:  stosd
    add eax, 0x1000
    dec ecx
    jnz 1b
    mov dword ptr [DIRECTORY], IDENTITY_TABLE | PRESENT | WRITABLE
    # One page at WINDOW, read-only.
    mov dword ptr [DIRECTORY + (WINDOW >> 22) * 4], WINDOW_TABLE | PRESENT | WRITABLE
    mov dword ptr [WINDOW_TABLE], FIRST_PAGE | PRESENT

    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG | CR0_WP         # WP: read-only means so for ring 0, too
    mov cr0, eax
    mov esi, offset text_paging
    call print

    cmp dword ptr [WINDOW], 0x11111111
    jne fail
    mov dword ptr [WINDOW_TABLE], SECOND_PAGE | PRESENT
    invlpg [WINDOW]                 # the processor may remember the old entry
    cmp dword ptr [WINDOW], 0x22222222
    jne fail
    mov esi, offset text_window
    call print

    lidt [idt_pointer]
    mov eax, offset on_page_fault
    mov [page_fault_gate], ax
    shr eax, 16
    mov [page_fault_gate + 6], ax
    mov dword ptr [WINDOW], 0x33333333
    jmp fail                        # the write must not come through

on_page_fault:                      # on the stack: error code, EIP, CS, EFLAGS
    pop eax
    cmp eax, WRITE_TO_PRESENT_PAGE
    jne fail
    mov eax, cr2                    # the address that faulted
    cmp eax, WINDOW
    jne fail
    cmp dword ptr [SECOND_PAGE], 0x22222222
    jne fail
    mov esi, offset text_fault
    call print
    jmp pass

console

text_paging:
    .asciz "Paging is on.\n"
text_window:
    .asciz "One address showed two pages.\n"
text_fault:
    .asciz "A write to a read-only page faulted.\n"

    .balign 8
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF        # code
    .quad 0x00CF92000000FFFF        # data
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .balign 8
idt:
    .fill PAGE_FAULT, 8, 0          # the vectors before it: not present
page_fault_gate:
    .word 0                         # handler, bits 0 to 15
    .word 0x08                      # code segment
    .word 0x8E00                    # present, 32-bit interrupt gate
    .word 0                         # handler, bits 16 to 31
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .long idt
