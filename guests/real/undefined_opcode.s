# undefined_opcode: catch an instruction that does not exist.
#
# Teaches: exceptions come through the same vectors as INT does; a fault's return address is the
#          faulting instruction itself, so the handler must move it on.
# Mode:    real (16-bit), at 0x1000.
# Prints:  the address of the faulting instruction, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the handler is called wrongly or not at all.

.intel_syntax noprefix
.include "console.inc"
.code16

.set INVALID_OPCODE, 6              # the vector of #UD
.set UD2_LENGTH, 2

    cld
    mov word ptr [INVALID_OPCODE * 4], offset handler
    mov word ptr [INVALID_OPCODE * 4 + 2], cs
    xor di, di
    mov cx, sp
    stc
culprit:
    ud2                             # the opcode that is undefined on purpose (0F 0B)
    jnc fail                        # IRET brought the flags back ...
    cmp sp, cx                      # ... and took from the stack what the exception pushed
    jne fail
    cmp di, 1                       # once
    jne fail
    mov si, offset text
    call print
    movzx ebx, bp
    call print_hex
    mov al, '\n'
    call put
    cmp bp, offset culprit
    jne fail
    jmp pass

handler:                            # on the stack: IP, CS, FLAGS
    inc di
    pop bp
    add bp, UD2_LENGTH
    push bp                         # go on behind it
    sub bp, UD2_LENGTH
    clc
    iret

console

text:
    .asciz "Undefined opcode at "
