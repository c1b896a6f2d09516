# long_program: what the student's faults.s is called by.  At 0x3000; its numbers are in memory.

.intel_syntax noprefix
.code64

.set load_address, 0x3000
.globl load_address

.set IDTR, 0x700
.set WHAT, 0x710                    # how many UD2, #PF by a read, #PF by a write, INT 0x30
.set BEFORE, 0x720                  # RAX RBX RCX RDX RSI RDI RBP R8 to R14, before and after
.set AFTER, 0x7A0

.macro each what, offset
    \what rax, \offset
    \what rbx, \offset + 8
    \what rcx, \offset + 16
    \what rdx, \offset + 24
    \what rsi, \offset + 32
    \what rdi, \offset + 40
    \what rbp, \offset + 48
    \what r8, \offset + 56
    \what r9, \offset + 64
    \what r10, \offset + 72
    \what r11, \offset + 80
    \what r12, \offset + 88
    \what r13, \offset + 96
    \what r14, \offset + 104
.endm
.macro get register, at
    mov \register, [\at]
.endm
.macro keep register, at
    mov [\at], \register
.endm

    lidt [IDTR]
    each get BEFORE
undefined:
    cmp byte ptr [WHAT], 0
    je reading
    dec byte ptr [WHAT]
    ud2
    jmp undefined
reading:
    cmp byte ptr [WHAT + 1], 0
    je writing
    dec byte ptr [WHAT + 1]
    lea r15, [rip + reading]
    mov al, [r14]
    hlt                             # a handler that went on behind the fault
writing:
    cmp byte ptr [WHAT + 2], 0
    je calling
    dec byte ptr [WHAT + 2]
    lea r15, [rip + writing]
    mov [r14], rax
    hlt
calling:
    cmp byte ptr [WHAT + 3], 0
    je done
    dec byte ptr [WHAT + 3]
    int 0x30
    jmp called
    hlt                             # a handler that took INT for a fault
called:
    jmp calling
done:
    each keep AFTER
    mov byte ptr [WHAT + 4], 1
    hlt
