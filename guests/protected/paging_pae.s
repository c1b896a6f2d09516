# paging_pae: PAE paging, three levels of tables with entries of 64 bits.
#
# Teaches: CR4.PAE, the four page-directory pointers that CR3 leads to, pages of 2 MiB and of
#          4 KiB side by side (SDM vol. 3A, "PAE paging").
# Mode:    protected (32-bit), at 0x1000.
# Prints:  one line, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if an address is not translated as it must be.

.intel_syntax noprefix
.include "console.inc"
.code32

.set POINTERS, 0x10000              # pages of RAM, zero at the start
.set DIRECTORY, 0x11000             # for the first GiB of addresses
.set WINDOW_DIRECTORY, 0x12000      # for the fourth
.set WINDOW_TABLE, 0x13000
.set TARGET, 0x20000                # a page to look at through the windows
.set SMALL_WINDOW, 0xC0000000       # linear addresses where no RAM is
.set LARGE_WINDOW, 0xC0200000
.set PRESENT, 1 << 0
.set WRITABLE, 1 << 1
.set LARGE_PAGE, 1 << 7
.set CR0_PG, 1 << 31
.set CR4_PAE, 1 << 5

    cld
    mov dword ptr [TARGET], 0x11111111

    # Only the lower halves of the entries need writing: all addresses are below 4 GiB.
    # Pointers take no WRITABLE bit; it is reserved there.
    mov dword ptr [POINTERS + 0 * 8], DIRECTORY | PRESENT
    mov dword ptr [POINTERS + 3 * 8], WINDOW_DIRECTORY | PRESENT
    mov dword ptr [DIRECTORY], 0 | PRESENT | WRITABLE | LARGE_PAGE
    mov dword ptr [WINDOW_DIRECTORY + 0 * 8], WINDOW_TABLE | PRESENT | WRITABLE
    mov dword ptr [WINDOW_DIRECTORY + 1 * 8], 0 | PRESENT | WRITABLE | LARGE_PAGE
    mov dword ptr [WINDOW_TABLE], TARGET | PRESENT | WRITABLE

    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, POINTERS
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax                    # this loads the four pointers into the processor

    mov esi, offset text
    call print
    cmp dword ptr [SMALL_WINDOW], 0x11111111
    jne fail
    mov dword ptr [SMALL_WINDOW], 0x22222222
    cmp dword ptr [LARGE_WINDOW + TARGET], 0x22222222
    jne fail
    mov dword ptr [LARGE_WINDOW + TARGET], 0x33333333
    cmp dword ptr [TARGET], 0x33333333
    jne fail
    jmp pass

console

text:
    .asciz "PAE paging is on.\n"
