# smp_count: all processors count together.
#
# Teaches: starting processors by INIT and SIPI; where they begin; LOCK; a spin lock.
# Mode:    real (16-bit), at 0x1000; the other processors start in page 0x2000.
# Prints:  a line from each processor, in the order they are done, then PASS.
# Ends:    HLT with interrupts off on all of them, status 0; debug-exit 1 (status 3) if a count is
#          wrong.

.intel_syntax noprefix
.include "console.inc"
.include "apic.inc"
.code16

.set ROUNDS, 200                    # of each processor
.set STACKS, 0x8000                 # 256 bytes each, the first one's above

    cld
    mov eax, 1                      # how many there are: CPUID leaf 1, EBX bits 16 to 23
    cpuid
    shr ebx, 16
    mov bh, 0
    test edx, 1 << 28               # ... which counts if HTT is set
    jnz 1f
    mov bx, 1
1:  mov [processors], bx
    x2apic_enable
    mov eax, ICR_ALL_OTHERS_INIT
    x2apic_write X2APIC_ICR
    mov eax, ICR_ALL_OTHERS_STARTUP | 2
    x2apic_write X2APIC_ICR
    xor edi, edi                    # the first processor's number
    call count
1:  pause
    mov ax, [done]
    cmp ax, [processors]
    jne 1b

    movzx eax, ax
    imul eax, eax, ROUNDS
    cmp eax, [with_lock_prefix]
    jne fail
    cmp eax, [under_lock]
    jne fail
    jmp pass

started:                            # the other processors, on a stack of their own
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov edi, 1
    lock xadd [taken], edi
    mov ax, di
    shl ax, 8
    add ax, STACKS + 0x100
    mov sp, ax
    call count
    cli
    hlt

# count: do one processor's part.  EDI is its number.
count:
    mov bp, ROUNDS
1:  lock inc dword ptr [with_lock_prefix]
    call acquire
    mov eax, [under_lock]
    inc eax
    mov [under_lock], eax
    call release
    dec bp
    jnz 1b

    call acquire
    mov si, offset text
    call print
    mov ax, di
    add al, '0'
    call put
    mov si, offset text_end
    call print
    call release
    lock inc word ptr [done]
    ret

acquire:
    mov al, 1
1:  xchg [spin_lock], al
    test al, al
    jz 2f
    pause
    jmp 1b
2:  ret

release:
    mov byte ptr [spin_lock], 0     # x86 lets no earlier store come later
    ret

console

text:
    .asciz "Processor "
text_end:
    .asciz " has counted.\n"

    .balign 4
processors:
    .word 0
done:
    .word 0
taken:
    .long 1
with_lock_prefix:
    .long 0
under_lock:
    .long 0
spin_lock:
    .byte 0

    .balign 0x1000                  # SIPI names a page; CS is that page, IP is 0
    ljmp 0, offset started
