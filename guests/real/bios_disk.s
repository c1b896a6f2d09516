# bios_disk: a boot sector that lives on BIOS services.
#
# Teaches: how a PC starts from a disk: the BIOS loads one sector, which reads the rest (INT 13h),
#          prints (INT 10h) and waits for keys (INT 16h).  Calls return errors in CF, and "no key"
#          in ZF.
# Mode:    real (16-bit), at 0x7C00, from a disk image of two sectors; needs a BIOS.
# Prints:  on the screen: a greeting, the second sector's text, each key typed until Escape, PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a service fails.

.intel_syntax noprefix
.include "ports.inc"
.code16

.set load_address, 0x7C00           # lib/flat.ld asks for this
.globl load_address

.set READ, 0x0201                   # INT 13h: AH = 02h, one sector in AL
.set SECOND_SECTOR, 0x0002          # cylinder 0 in CH, sector 2 in CL
.set TELETYPE, 0x0E                 # INT 10h
.set GET_KEY, 0x00                  # INT 16h
.set LOOK_FOR_KEY, 0x01
.set ESCAPE, 0x1B

    jmp 0:start
start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, load_address
    cld
    mov [drive], dl

    mov si, offset greeting
    call print

    xor ax, ax                      # reset first, as the custom is for floppies
    mov dl, [drive]
    int 0x13
    jc fail
    mov ax, READ
    mov bx, offset second
    mov cx, SECOND_SECTOR
    xor dh, dh
    mov dl, [drive]
    int 0x13
    jc fail
    cmp al, 1                       # sectors read
    jne fail
    jmp second_entry

fail:
    mov si, offset failed
    call print
    mov al, 1
    out DEBUG_EXIT, al
    cli
    hlt

# print: write the text at SI, which ends with a zero byte.
print:
    lodsb
    test al, al
    jz 1f
    call put
    jmp print
1:  ret

# put: write the character in AL at the cursor.
put:
    mov ah, TELETYPE
    mov bx, 0x0007
    int 0x10
    ret

drive:
    .byte 0
greeting:
    .asciz "Hello from the boot sector.\r\n"
failed:
    .asciz "FAIL\r\n"

    .org 510
    .byte 0x55, 0xAA

# ---- the second sector: it is here only once INT 13h has read it

second:
    .asciz "Hello from the second sector. Type; Escape ends.\r\n"
second_entry:
    mov si, offset second
    call print
type:
    mov ah, GET_KEY
    int 0x16
    cmp al, ESCAPE
    je done
    call put
    jmp type

done:
    mov ah, LOOK_FOR_KEY
    int 0x16
    jnz fail                        # Escape was the last key
    mov si, offset passed
    call print
    cli
    hlt

passed:
    .asciz "\r\nPASS\r\n"

    .org 1024
