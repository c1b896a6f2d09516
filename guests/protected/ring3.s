# ring3: a small kernel, and a user program that is kept in its place.
#
# Teaches: privilege levels: IRETD leads out to ring 3, an interrupt gate of DPL 3 leads in, the
#          task-state segment says which stack the kernel gets; what a user may not do faults.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  what the user says through system calls, then what the kernel says, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the user is where it must not be.

.intel_syntax noprefix
.include "console.inc"
.code32

.set KERNEL_CODE, 0x08
.set KERNEL_DATA, 0x10
.set USER_CODE, 0x18 | 3            # the lowest two bits: the privilege asked for
.set USER_DATA, 0x20 | 3
.set TASK, 0x28
.set KERNEL_STACK, 0x9000
.set USER_STACK, 0xA000
.set FLAGS, 2                       # IOPL 0, so that ring 3 may neither CLI nor touch ports
.set GENERAL_PROTECTION, 13         # the vector of #GP
.set SYSTEM_CALL, 0x40

    cld
    lgdt [gdt_pointer]
    jmp KERNEL_CODE:1f
1:  mov ax, KERNEL_DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, KERNEL_STACK
    mov eax, offset task            # the descriptor keeps the base in three parts
    mov [task_descriptor + 2], ax
    shr eax, 16
    mov [task_descriptor + 4], al
    mov ax, TASK
    ltr ax
    lidt [idt_pointer]
    mov edi, GENERAL_PROTECTION
    mov eax, offset on_protection
    mov ebx, 0x8E00                 # present, DPL 0, 32-bit interrupt gate
    call set_gate
    mov edi, SYSTEM_CALL
    mov eax, offset on_call
    mov ebx, 0xEE00                 # the same with DPL 3: a user may call it
    call set_gate

    push USER_DATA                  # as if an interrupt had come from ring 3
    push USER_STACK
    push FLAGS
    push USER_CODE
    push offset user
    iretd

user:
    mov ax, cs
    and ax, 3
    cmp ax, 3
    jne user_is_wrong
    mov esi, offset text_user
    int SYSTEM_CALL
user_crime:
    cli                             # not a user's to do
user_is_wrong:
    mov esi, offset text_wrong
    int SYSTEM_CALL
    jmp user_crime

# The one system call: print the text at ESI.
on_call:                            # on the kernel's stack: EIP, CS, EFLAGS, ESP, SS
    cmp esp, KERNEL_STACK - 5 * 4
    jne fail
    mov ax, KERNEL_DATA
    mov ds, ax
    mov es, ax
    call print
    mov ax, USER_DATA
    mov ds, ax
    mov es, ax
    iretd

on_protection:                      # as above, and an error code before it
    mov ax, KERNEL_DATA
    mov ds, ax
    mov es, ax
    pop eax
    cmp dword ptr [esp], offset user_crime
    jne fail
    cmp word ptr [esp + 4], USER_CODE
    jne fail
    mov esi, offset text_kernel
    call print
    jmp pass

# set_gate: have vector EDI call the handler at EAX; EBX is the gate's type.
set_gate:
    mov word ptr idt[edi * 8 + 0], ax
    mov word ptr idt[edi * 8 + 2], KERNEL_CODE
    mov word ptr idt[edi * 8 + 4], bx
    shr eax, 16
    mov word ptr idt[edi * 8 + 6], ax
    ret

console

text_user:
    .asciz "User: I am in ring 3, and now I turn interrupts off.\n"
text_kernel:
    .asciz "Kernel: no, it does not.\n"
text_wrong:
    .asciz "User: I got away with it!\n"

    .balign 8
gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF        # ring 0 code
    .quad 0x00CF92000000FFFF        # ring 0 data
    .quad 0x00CFFA000000FFFF        # ring 3 code
    .quad 0x00CFF2000000FFFF        # ring 3 data
task_descriptor:
    .word task_end - task - 1       # limit
    .word 0                         # base, bits 0 to 15
    .byte 0                         # base, bits 16 to 23
    .byte 0x89                      # present, available 32-bit TSS
    .byte 0, 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .balign 8
task:                               # SDM vol. 3A, figure "32-bit task-state segment (TSS)"
    .long 0                         # previous task
    .long KERNEL_STACK              # ESP0
    .long KERNEL_DATA               # SS0
    .fill 22, 4, 0
    .word 0, task_end - task        # no I/O permission bitmap: it would begin at the end
task_end:

idt:
    .fill SYSTEM_CALL + 1, 8, 0     # all vectors not present yet
idt_end:
idt_pointer:
    .word idt_end - idt - 1
    .long idt
