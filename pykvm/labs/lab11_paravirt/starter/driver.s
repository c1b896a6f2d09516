# driver: brings a text out.  As it is, through COM1: one exit a byte.
#
# To do: bring it out through your device at ports 0xC00 to 0xC0F, and halt when all of it is out.

.intel_syntax noprefix
.code32

.set BASE, 0xC00
.set COM1, 0x3F8

    jmp start

    .org 0x4                        # 0x1004: whoever loads the guest writes these two words
length:
    .long 40                        # how many bytes the text has
seed:
    .long 2024                      # where its generator begins

# next_byte: the next byte of the text into AL; changes EAX and no other register
next_byte:
    imul eax, [seed], 1664525
    add eax, 1013904223
    mov [seed], eax
    shr eax, 26
    add eax, 0x20                   # ' ' to '_'
    ret

start:
    mov esp, 0x2000                 # the stack: below the ring, if that is at 0x2000
    mov ecx, [length]
    mov edx, COM1
next:
    test ecx, ecx
    jz done
    call next_byte
    out dx, al                      # an exit
    dec ecx
    jmp next
done:
    hlt
