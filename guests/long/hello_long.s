# hello_long: print a greeting from 64-bit code.
#
# Teaches: the state that a 64-bit loader hands over: long mode, memory mapped to its own
#          addresses, interrupts off; addresses relative to RIP; registers of 64 bits.
# Mode:    long (64-bit), at 0x1000.
# Prints:  a greeting, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the state is another one.

.intel_syntax noprefix
.include "console.inc"
.code64

.set EFER, 0xC0000080
.set EFER_LMA_BIT, 10               # the processor is in long mode
.set INTERRUPTS_ON, 1 << 9

    cld
    lea rsi, greeting[rip]
    call print

    cmp rsp, 0x1000                 # the stack grows down from where we are loaded
    jne fail
    mov ecx, EFER
    rdmsr
    bt eax, EFER_LMA_BIT
    jnc fail
    pushfq
    pop rax
    test eax, INTERRUPTS_ON
    jnz fail
    mov rax, 0x1122334455667788
    push rax
    cmp dword ptr [rsp + 4], 0x11223344     # a push is 8 bytes, the upper ones too
    jne fail
    mov rax, -1
    mov eax, eax                    # writing 32 bits of a register clears the upper 32
    shr rax, 32
    jnz fail
    jmp pass

console

greeting:
    .asciz "Hello from 64-bit long mode.\n"
