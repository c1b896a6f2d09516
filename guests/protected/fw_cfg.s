# fw_cfg: ask QEMU's firmware configuration device what machine this is.
#
# Teaches: an item of fw_cfg is selected by its number and read byte by byte from a port; or the
#          device copies it into RAM by itself (DMA), told by a descriptor whose fields are
#          big-endian, as everything in the directory of files is.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  the signature, the size of RAM, each range of memory in the file "etc/e820" with its
#          type (1 is RAM, 2 is reserved), the text of the file "opt/message" if there is one
#          (pykvm run fw_cfg --fw-cfg name=opt/message,string=Hello), then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the device is not there or answers wrongly.

.intel_syntax noprefix
.include "console.inc"
.code32

.set FW_CFG_SELECTOR, 0x510
.set FW_CFG_DATA, 0x511
.set FW_CFG_DMA, 0x514              # bits 63-32 of an address, then its bits 31-0
.set SIGNATURE, 0x00
.set ID, 0x01
.set RAM_SIZE, 0x03
.set FILE_DIR, 0x19
.set ID_DMA, 1 << 1
.set DMA_ERROR, 1 << 0
.set DMA_READ, 1 << 1
.set DMA_SELECT, 1 << 3

# An entry of the directory; its name ends with a zero byte.
.set ENTRY, 64
.set ENTRY_SIZE, 0
.set ENTRY_SELECT, 4
.set ENTRY_NAME, 8

# An entry of etc/e820: start and length of a range, 64 bits each, and its type.
.set RANGE, 20

.set ITEM, 0x10000                  # where the items go, up to 60 KiB each
.set ITEM_MAX, 0xF000
.set DIRECTORY, 0x20000

    cld
    mov eax, SIGNATURE
    mov ecx, 4
    call read_by_port
    cmp dword ptr [ITEM], 0x554D4551    # "QEMU"
    jne fail
    mov byte ptr [ITEM + 4], 0
    mov esi, ITEM
    call print

    mov esi, offset text_ram
    call print
    mov eax, RAM_SIZE
    mov ecx, 8
    call read_by_port
    mov esi, ITEM
    call print_quad
    mov al, '\n'
    call put

    mov eax, ID
    mov ecx, 4
    call read_by_port
    test dword ptr [ITEM], ID_DMA
    jz fail

    # The directory: first how many files there are, then all of it.
    mov eax, FILE_DIR
    mov ecx, 4
    mov edi, DIRECTORY
    call read_by_dma
    mov ecx, [DIRECTORY]
    bswap ecx
    imul ecx, ecx, ENTRY
    add ecx, 4
    cmp ecx, ITEM_MAX
    ja fail
    mov eax, FILE_DIR
    mov edi, DIRECTORY
    call read_by_dma

    mov edi, offset name_e820
    call read_file
    jc fail
    mov esi, ITEM
next_range:
    sub ebp, RANGE
    jb message
    push esi
    mov esi, offset text_range
    call print
    pop esi
    call print_quad
    mov al, '+'
    call put
    add esi, 8
    call print_quad
    mov al, ' '
    call put
    mov al, [esi + 8]
    add al, '0'
    call put
    mov al, '\n'
    call put
    add esi, 12
    jmp next_range

message:
    mov edi, offset name_message
    call read_file
    jc pass
    mov byte ptr [ITEM + ebp], 0
    mov esi, ITEM
    call print
    mov al, '\n'
    call put
    jmp pass

# read_by_port: copy the first ECX bytes of item EAX to ITEM.  Changes ECX, EDI.
read_by_port:
    mov dx, FW_CFG_SELECTOR
    out dx, ax
    mov dx, FW_CFG_DATA
    mov edi, ITEM
    rep insb
    ret

# read_by_dma: have the first ECX bytes of item EAX copied to EDI.  Ends the guest on an error.
read_by_dma:
    shl eax, 16
    or eax, DMA_SELECT | DMA_READ
    bswap eax
    mov [descriptor_control], eax
    bswap ecx
    mov [descriptor_length], ecx
    bswap edi
    mov dword ptr [descriptor_address], 0
    mov [descriptor_address + 4], edi
    mov eax, offset descriptor
    bswap eax
    mov dx, FW_CFG_DMA + 4          # the low half: the high one is 0 unless written
    out dx, eax
1:  mov eax, [descriptor_control]
    bswap eax
    test eax, DMA_ERROR
    jnz fail
    test eax, eax                   # not zero: it is still at work
    jnz 1b
    ret

# read_file: copy the file that is named by the text at EDI to ITEM, EBP bytes.
#            Sets the carry flag if there is none.  Changes EBX, ECX, ESI, EDI.
read_file:
    mov ecx, [DIRECTORY]
    bswap ecx
    mov ebx, DIRECTORY + 4
    jecxz 3f
1:  push edi
    lea esi, [ebx + ENTRY_NAME]
2:  mov al, [esi]
    cmpsb
    jne 4f
    test al, al
    jnz 2b
    pop edi
    mov ecx, [ebx + ENTRY_SIZE]
    bswap ecx
    cmp ecx, ITEM_MAX
    ja fail
    mov ebp, ecx
    movzx eax, word ptr [ebx + ENTRY_SELECT]
    xchg al, ah
    mov edi, ITEM
    call read_by_dma
    clc
    ret
4:  pop edi
    add ebx, ENTRY
    loop 1b
3:  stc
    ret

# print_quad: send the eight bytes at ESI as sixteen hexadecimal digits.  Changes EBX, CX.
print_quad:
    mov ebx, [esi + 4]
    call print_hex
    mov ebx, [esi]
    jmp print_hex

console

text_ram:
    .asciz "\nRAM "
text_range:
    .asciz "range "
name_e820:
    .asciz "etc/e820"
name_message:
    .asciz "opt/message"

.data
    .balign 8
descriptor:
descriptor_control:
    .long 0
descriptor_length:
    .long 0
descriptor_address:
    .quad 0
