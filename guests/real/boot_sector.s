# boot_sector: what a PC's BIOS would load from a disk.
#
# Teaches: the contract of a boot sector: 512 bytes that end in 55 AA, loaded at 0x7C00, the
#          number of the drive in DL, nothing else promised.
# Mode:    real (16-bit), at 0x7C00; recognised by its last two bytes.
# Prints:  where it runs and its drive.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if DL is not the first hard disk.

.intel_syntax noprefix
.include "console.inc"
.code16

.set load_address, 0x7C00           # lib/flat.ld asks for this
.globl load_address
.set FIRST_HARD_DISK, 0x80

    jmp 0:start                     # some BIOSes enter at 07C0:0000, which is the same place
start:
    cli                             # a BIOS leaves interrupts on, and HLT shall be the end
    xor ax, ax                      # the segments are not promised, so set them
    mov ds, ax
    mov ss, ax
    mov sp, load_address            # the stack grows down from where we are
    cld
    mov bp, dx
    mov si, offset greeting
    call print
    mov ebx, load_address
    call print_hex
    mov si, offset drive
    call print
    movzx ebx, bp
    movzx bx, bl
    call print_hex
    mov al, '\n'
    call put
    cmp bp, FIRST_HARD_DISK
    jne fail
    jmp pass

console

greeting:
    .asciz "Boot sector at "
drive:
    .asciz ", drive "

    .org 510                        # the rest is zero
    .byte 0x55, 0xAA
