# interrupts: exceptions and system calls of protected mode.
#
# Teaches: an interrupt descriptor table; a fault (UD2), whose return address is the faulting
#          instruction, and a software interrupt, whose is the next one; IRETD.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  a line from each handler, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a handler is called wrongly or not at all.

.intel_syntax noprefix
.include "console.inc"
.code32

.set INVALID_OPCODE, 6              # the vector of #UD
.set SYSTEM_CALL, 0x40
.set CODE, 0x08                     # the code segment that we were entered with
.set UD2_LENGTH, 2

    cld
    lidt [idt_pointer]
    mov edi, INVALID_OPCODE
    mov eax, offset on_fault
    call set_gate
    mov edi, SYSTEM_CALL
    mov eax, offset on_call
    call set_gate

    mov ebp, esp
    xor edi, edi
culprit:
    ud2                             # the opcode that is undefined on purpose (0F 0B)
    cmp edi, 1
    jne fail
    int SYSTEM_CALL
behind:
    cmp edi, 2
    jne fail
    cmp esp, ebp                    # IRETD took what the processor pushed
    jne fail
    jmp pass

on_fault:                           # on the stack: EIP, CS, EFLAGS; #UD has no error code
    cmp dword ptr [esp], offset culprit
    jne fail
    inc edi
    mov esi, offset text_fault
    call print
    add dword ptr [esp], UD2_LENGTH # go on behind it
    iretd

on_call:
    cmp dword ptr [esp], offset behind
    jne fail
    inc edi
    mov esi, offset text_call
    call print
    iretd

# set_gate: have vector EDI call the handler at EAX (SDM vol. 3A, figure "IDT gate descriptors").
set_gate:
    mov word ptr idt[edi * 8 + 0], ax
    mov word ptr idt[edi * 8 + 2], CODE
    mov word ptr idt[edi * 8 + 4], 0x8E00   # present, 32-bit interrupt gate
    shr eax, 16
    mov word ptr idt[edi * 8 + 6], ax
    ret

console

text_fault:
    .asciz "Undefined opcode, skipped.\n"
text_call:
    .asciz "System call.\n"

    .balign 8
idt:
    .fill SYSTEM_CALL + 1, 8, 0     # all vectors not present yet
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .long idt
