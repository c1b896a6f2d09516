# Lab 7, solved.

.intel_syntax noprefix
.code64

.set CANVAS, 0xD0000000
.set ID, 0x00
.set SIZE, 0x04
.set ORIGIN, 0x08
.set EXTENT, 0x0C
.set FILL, 0x10
.set FLIP, 0x14
.set FAULTS, 0x18
.set PIXELS, 0x1000
.set MAGIC, 0x564E4143

.set WHITE, 0xFF
.set BLUE, 0x02
.set TILE, 32
.set TILE_AT, 4

    mov ebx, CANVAS
    cmp dword ptr [rbx + ID], MAGIC
    jne done
    mov ebp, [rbx + SIZE]           # columns, and rows << 16

    # all of it white, then blue inside: the border is what is left
    mov dword ptr [rbx + ORIGIN], 0
    mov [rbx + EXTENT], ebp
    mov dword ptr [rbx + FILL], WHITE
    mov dword ptr [rbx + ORIGIN], 1 << 16 | 1
    lea eax, [rbp - (2 << 16 | 2)]
    mov [rbx + EXTENT], eax
    mov dword ptr [rbx + FILL], BLUE

    # the tile: a row is made in RAM, byte by byte, then copied, eight bytes an exit
    movzx ebp, bp                   # columns
    imul edx, ebp, TILE_AT
    lea rdx, [rbx + rdx + PIXELS + TILE_AT]  # where the row goes
    xor r8d, r8d                    # y
next_row:
    xor ecx, ecx                    # x
next_pixel:
    mov eax, ecx
    xor eax, r8d
    shl eax, 3
    mov row[rcx], al
    inc ecx
    cmp ecx, TILE
    jb next_pixel
    lea rsi, row[rip]
    mov rdi, rdx
    mov ecx, TILE / 8
    cld
    rep movsq
    add rdx, rbp
    inc r8d
    cmp r8d, TILE
    jb next_row

    mov dword ptr [rbx + FLIP], 1
done:
    hlt

    .balign 8
row:
    .skip TILE
