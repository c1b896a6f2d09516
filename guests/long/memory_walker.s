# memory_walker: prove that all of RAM is there, and each page only once.
#
# Teaches: how firmware tells the memory size (CMOS); the hole below 4 GiB; why a memory test
#          writes everything before it reads anything back: two addresses of one page would look
#          right one after the other.
# Mode:    long (64-bit), at 0x1000, in any RAM from 64 KiB on.
# Takes:   at load address + 8 the distance of the words to test, as a 64-bit number: a multiple
#          of 4096, in the file 4096 (every page).  Others may write there before it runs.
# Prints:  the ranges it walks, then PASS; or the first address that is wrong, and FAIL.  Not
#          walked are its own pages at the bottom and, at the top of low RAM, the boot tables,
#          which it proves by using them.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a page is not as it must be.

.intel_syntax noprefix
.include "console.inc"
.code64

.set PAGE_MASK, -0x1000
.set KIB_SHIFT, 10
.set UNIT_SHIFT, 16                 # of 64 KiB
.set MIB, 1 << 20
.set HIGH_RAM, 1 << 32              # RAM that does not fit below the hole begins here
.set BASE_KIB, 0x15                 # CMOS: two bytes, the lower one first; at most 640
.set EXTENDED_KIB, 0x30             # two bytes: above 1 MiB, at most 65535
.set UNITS_ABOVE_16_MIB, 0x34       # two bytes: up to the hole
.set UNITS_ABOVE_4_GIB, 0x5B        # three bytes

    jmp start
    .org 8
stride:
    .quad 0x1000

start:
    cld
    call find_ram
    lea r12, show[rip]
    call each_region
    lea r12, fill[rip]
    call each_region
    lea r12, verify[rip]
    call each_region
    jmp pass

# each_region: call R12 with each region that is not empty, from RDI to RSI (exclusive).
each_region:
    mov rdi, low_start[rip]
    mov rsi, low_end[rip]
    cmp rdi, rsi
    jae 1f
    call r12
1:  mov edi, 1
    shl rdi, 32
    mov rsi, high_end[rip]
    cmp rdi, rsi
    jae 2f
    call r12
2:  ret

# fill: write each word's address to it.  Every instruction here is done once a page.
fill:
    mov rbx, stride[rip]
1:  mov [rdi], rdi
    add rdi, rbx
    cmp rdi, rsi
    jb 1b
    ret

# verify: find each word's address in it.
verify:
    mov rbx, stride[rip]
1:  cmp [rdi], rdi
    jne wrong
    add rdi, rbx
    cmp rdi, rsi
    jb 1b
    ret

wrong:
    lea rsi, text_wrong[rip]
    call print
    mov rbp, rdi
    call print_address
    lea rsi, text_holds[rip]
    call print
    mov rbp, [rdi]
    call print_address
    mov al, '\n'
    call put
    jmp fail

show:
    mov r13, rsi
    lea rsi, text_range[rip]
    call print
    mov rbp, rdi
    call print_address
    mov al, '-'
    call put
    mov rbp, r13
    call print_address
    mov al, '\n'
    call put
    ret

# print_address: send RBP as sixteen hexadecimal digits.
print_address:
    mov rbx, rbp
    shr rbx, 32
    call print_hex
    mov rbx, rbp
    jmp print_hex

# find_ram: from what CMOS says to the regions to walk.
find_ram:
    mov ah, BASE_KIB
    mov ecx, 2
    call read_cmos
    shl rbx, KIB_SHIFT
    mov r8, rbx                     # R8: the end of low RAM
    mov ah, EXTENDED_KIB
    mov ecx, 2
    call read_cmos
    test rbx, rbx
    jz 1f
    shl rbx, KIB_SHIFT
    lea r8, [rbx + MIB]             # this machine has RAM from 640 KiB to 1 MiB, too
1:  mov ah, UNITS_ABOVE_16_MIB
    mov ecx, 2
    call read_cmos
    test rbx, rbx
    jz 2f
    shl rbx, UNIT_SHIFT
    add rbx, 16 * MIB
    cmp rbx, r8                     # below 64 MiB the KiB are the finer measure
    cmova r8, rbx
2:  sgdt gdt_pointer[rip]           # the boot tables: GDT and page tables, up to RAM's end
    mov rax, gdt_pointer[rip + 2]
    and rax, PAGE_MASK
    cmp rax, r8
    cmovb r8, rax
    mov rax, cr3
    cmp rax, r8
    cmovb r8, rax
    mov low_end[rip], r8
    lea rax, image_end[rip + 0xFFF]
    and rax, PAGE_MASK
    mov low_start[rip], rax

    mov ah, UNITS_ABOVE_4_GIB
    mov ecx, 3
    call read_cmos
    shl rbx, UNIT_SHIFT
    mov rax, HIGH_RAM
    add rbx, rax
    mov high_end[rip], rbx
    ret

# read_cmos: get the ECX bytes from register AH on in RBX.
read_cmos:
    xor ebx, ebx
    add ah, cl
1:  dec ah                          # the highest first, so that each shifts the others up
    mov al, ah
    out CMOS_INDEX, al
    in al, CMOS_DATA
    shl rbx, 8
    mov bl, al
    dec ecx
    jnz 1b
    ret

console

text_range:
    .asciz "RAM "
text_wrong:
    .asciz "Wrong: "
text_holds:
    .asciz " holds "
    .balign 8
low_start:
    .quad 0
low_end:
    .quad 0
high_end:
    .quad 0
gdt_pointer:
    .word 0
    .quad 0
