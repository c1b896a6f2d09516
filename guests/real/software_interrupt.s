# software_interrupt: system calls of real mode.
#
# Teaches: the interrupt vector table at address 0 (four bytes a vector: offset, segment), INT,
#          what it pushes, and that IRET brings the caller's flags back.
# Mode:    real (16-bit), at 0x1000.
# Prints:  one line through the handler, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if registers, flags or stack are not as they
#          must be.

.intel_syntax noprefix
.include "console.inc"
.code16

.set VECTOR, 0x40
.set CARRY, 1 << 0
.set INTERRUPTS_ON, 1 << 9

    cld
    mov word ptr [VECTOR * 4], offset handler
    mov word ptr [VECTOR * 4 + 2], cs

    mov si, offset text
    mov bp, sp
    stc                             # a flag that the handler changes
    int VECTOR
after:
    jnc fail                        # IRET must have brought it back
    cmp sp, bp
    jne fail
    cmp di, 0x1234                  # what the handler left
    jne fail

    sti                             # no interrupt controller here, so nothing comes
    mov si, offset text_end - 1     # the empty text
    int VECTOR                      # INT turns interrupts off in the handler only
    pushf
    pop ax
    cli
    test ax, INTERRUPTS_ON
    jz fail
    jmp pass

# The service: print the text at SI.  Leaves 0x1234 in DI.
handler:
    pushf
    pop ax
    test ax, INTERRUPTS_ON
    jnz fail
    cmp dword ptr [first_return], 0
    jne 1f
    pop eax                         # CS:IP of the instruction behind INT
    push eax
    mov [first_return], eax
    cmp eax, offset after
    jne fail
1:  call print
    mov di, 0x1234
    clc
    iret

console

    .balign 4
first_return:
    .long 0
text:
    .asciz "Printed by the handler of INT 0x40.\n"
text_end:
