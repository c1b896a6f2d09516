# mmio: access a device through memory addresses, in all widths.
#
# Teaches: memory-mapped I/O: a load or store where no RAM is leaves the guest, with address,
#          width and value; widths of 1, 2, 4 and 8 bytes; little-endian order.
# Mode:    long (64-bit), at 0x1000.
# Needs:   a device at 0xE0000000 that keeps what is written, 64 bytes long.
# Prints:  PASS; "No device." where there is none.
# Ends:    HLT, status 0; debug-exit 2 (status 5) without a device; debug-exit 1 (status 3) if
#          another value comes back.

.intel_syntax noprefix
.include "console.inc"
.code64

.set DEVICE, 0xE0000000
.set NO_DEVICE, 2

    cld
    mov edi, DEVICE                 # a 32-bit move clears the upper half

    # Nobody there?  Then writes are lost, and reads give all ones.
    mov dword ptr [rdi], 0
    cmp dword ptr [rdi], -1
    je absent

    # Each width at a place of its own, read back in the same width.
    mov byte ptr [rdi + 0x10], 0x11
    mov word ptr [rdi + 0x18], 0x2221
    mov dword ptr [rdi + 0x20], 0x34333231
    mov rbx, 0x4847464544434241
    mov [rdi + 0x28], rbx
    mov al, [rdi + 0x10]
    cmp al, 0x11
    jne fail
    mov ax, [rdi + 0x18]
    cmp ax, 0x2221
    jne fail
    mov eax, [rdi + 0x20]
    cmp eax, 0x34333231
    jne fail
    mov rax, [rdi + 0x28]
    cmp rax, rbx
    jne fail

    # Narrow reads of a wide value: the lowest byte comes first.
    mov al, [rdi + 0x28]
    cmp al, 0x41
    jne fail
    mov ax, [rdi + 0x2A]
    cmp ax, 0x4443
    jne fail
    mov eax, [rdi + 0x2C]
    cmp eax, 0x48474645
    jne fail

    # Narrow writes leave their neighbours alone.
    mov byte ptr [rdi + 0x29], 0xEE
    mov word ptr [rdi + 0x2E], 0xDDCC
    mov rax, [rdi + 0x28]
    mov rbx, 0xDDCC46454443EE41
    cmp rax, rbx
    jne fail

    # Instructions that do more with what they read.
    movzx eax, byte ptr [rdi + 0x29]
    cmp eax, 0xEE
    jne fail
    movsx eax, byte ptr [rdi + 0x29]
    cmp eax, 0xFFFFFFEE
    jne fail
    add dword ptr [rdi + 0x20], 1   # a read and a write
    cmp dword ptr [rdi + 0x20], 0x34333232
    jne fail

    # A string instruction: one access each turn.
    lea rsi, pattern[rip]
    add rdi, 0x30
    mov ecx, 4
    rep movsd
    mov esi, DEVICE + 0x30
    lea rdi, back[rip]
    mov ecx, 4
    rep movsd
    mov rax, pattern[rip]
    cmp rax, back[rip]
    jne fail
    mov rax, pattern[rip + 8]
    cmp rax, back[rip + 8]
    jne fail
    jmp pass

absent:
    lea rsi, text_absent[rip]
    call print
    mov al, NO_DEVICE
    out DEBUG_EXIT, al
    hlt

console

text_absent:
    .asciz "No device.\n"
    .balign 8
pattern:
    .long 0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C
back:
    .skip 16
