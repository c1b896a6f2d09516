# Lab 11, solved.

.intel_syntax noprefix
.code32

.set BASE, 0xC00
.set BELL, BASE + 4
.set RING, 0x2000
.set PRODUCED, RING
.set CONSUMED, RING + 4
.set BYTES, RING + 8
.set SIZE, 1024

    jmp start

    .org 0x4
length:
    .long 40
seed:
    .long 2024

next_byte:
    imul eax, [seed], 1664525
    add eax, 1013904223
    mov [seed], eax
    shr eax, 26
    add eax, 0x20
    ret

start:
    mov esp, 0x2000
    xor ebx, ebx                    # how many bytes were produced
    mov [PRODUCED], ebx
    mov [CONSUMED], ebx
    mov eax, RING
    mov edx, BASE
    out dx, eax                     # resets the device, too
    mov edx, BELL
    mov ecx, [length]
    test ecx, ecx
    jz flush
next:
    mov eax, ebx
    sub eax, [CONSUMED]
    cmp eax, SIZE
    jb room
    mov [PRODUCED], ebx
    out dx, al
    jmp next
room:
    call next_byte
    mov edi, ebx
    and edi, SIZE - 1
    mov [BYTES + edi], al
    inc ebx
    loop next
flush:
    mov [PRODUCED], ebx
    out dx, al
    cmp ebx, [CONSUMED]
    jne flush
    hlt
