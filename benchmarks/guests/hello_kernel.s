# hello_kernel: the greeting of guests/hello.s from a Multiboot kernel.
#
# Mode:    protected (32-bit), paging off, at 1 MiB, as Multiboot says.
# Prints:  the greeting of guests/hello.s, polling the UART as it does.
# Ends:    debug-exit 0: status 1.

.intel_syntax noprefix
.include "greeting.inc"
.code32

.set MAGIC, 0x1BADB002
.set ADDRESSES, 1 << 16             # the header says where the image goes: no ELF loader is asked
.set LOAD, 0x100000

header:
    .long MAGIC, ADDRESSES, -(MAGIC + ADDRESSES)
    .long LOAD                      # header_addr
    .long LOAD                      # load_addr
    .long 0                         # load_end_addr: all of the file
    .long 0                         # bss_end_addr: there is none
    .long LOAD + start - header     # entry_addr
start:
    cld
    mov esi, LOAD + text - header
next:
    lodsb
    test al, al
    jz done
    mov ah, al
    mov dx, COM1_STATUS
wait:
    in al, dx
    test al, CAN_SEND
    jz wait
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp next
done:
    mov dx, DEBUG_EXIT
    mov al, 0
    out dx, al
    hlt

text:
    greeting
