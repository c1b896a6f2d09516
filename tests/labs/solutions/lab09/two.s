# two: two processors count the same counter.

.intel_syntax noprefix
.code16

.set COUNTER, 0x3FF                 # the serial port's scratch register: keeps a byte
.set DEBUG, 0xE9

.set APIC_BASE, 0x1B                # MSRs
.set X2APIC_SPURIOUS, 0x80F
.set X2APIC_ICR, 0x830
.set ALL_OTHERS_INIT, 0xC4500
.set ALL_OTHERS_STARTUP, 0xC4600

    jmp start
    .org 4
rounds:
    .word 5

start:
    mov ecx, APIC_BASE
    rdmsr
    or eax, 0b11 << 10
    wrmsr
    mov ecx, X2APIC_SPURIOUS
    mov eax, 0x1FF
    xor edx, edx
    wrmsr
    mov ecx, X2APIC_ICR
    mov eax, ALL_OTHERS_INIT
    wrmsr
    mov eax, ALL_OTHERS_STARTUP | 2
    wrmsr
    call count
1:  pause
    cmp byte ptr [other_is_done], 0
    je 1b
    mov dx, COUNTER
    in al, dx
    out DEBUG, al
    cli
    hlt

count:
    mov cx, [rounds]
    mov dx, COUNTER
    jcxz 2f
1:  call acquire
    in al, dx
    inc al
    out dx, al
    call release
    loop 1b
2:  ret

acquire:
    mov bl, 1
1:  xchg [locked], bl
    test bl, bl
    jz 2f
    pause
    jmp 1b
2:  ret

release:
    mov byte ptr [locked], 0
    ret

locked:
    .byte 0
other_is_done:
    .byte 0

    .balign 0x1000
other:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x8000
    ljmp 0, offset 1f
1:  call count
    mov byte ptr [other_is_done], 1
    cli
    hlt
