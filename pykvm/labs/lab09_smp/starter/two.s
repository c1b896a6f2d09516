# two: two processors count the same counter.  So far there is one, and it takes no care.
#
#   pykvm lab asm
#   pykvm trace two.bin --smp 2 --port 0x3ff

.intel_syntax noprefix
.code16

.set COUNTER, 0x3FF                 # the serial port's scratch register: keeps a byte
.set DEBUG, 0xE9

.set APIC_BASE, 0x1B                # MSRs; README.md, section 1
.set X2APIC_SPURIOUS, 0x80F
.set X2APIC_ICR, 0x830
.set ALL_OTHERS_INIT, 0xC4500       # to be written to the low half of X2APIC_ICR
.set ALL_OTHERS_STARTUP, 0xC4600    # plus the page

    jmp start
    .org 4
rounds:                             # at 0x1004
    .word 20

start:
    # 1. turn the local APIC on, in x2APIC mode; send INIT, then SIPI with page 2
    call count
    # 2. wait until the other one is done
    mov dx, COUNTER
    in al, dx
    out DEBUG, al
    cli
    hlt

count:
    mov cx, [rounds]
    mov dx, COUNTER
1:  in al, dx                       # 3. nobody must come between
    inc al
    out dx, al
    loop 1b
    ret

    .balign 0x1000                  # page 2: where SIPI starts the other processor
other:
    # 4. DS, SS, SP; count; say so; halt
    cli
    hlt
