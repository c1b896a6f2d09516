# Lab 5, solved.

.intel_syntax noprefix
.code64

.set UNDEFINED, 0x500
.set WHERE, 0x508
.set ERROR, 0x510

    .quad on_undefined
    .quad on_page_fault
    .quad on_call

on_undefined:
    inc qword ptr [UNDEFINED]
    add qword ptr [rsp], 2          # UD2 has two bytes
    iretq

on_page_fault:
    push rax
    mov rax, cr2
    mov [WHERE], rax
    mov rax, [rsp + 8]
    mov [ERROR], rax
    mov [rsp + 16], r15
    pop rax
    add rsp, 8                      # the error code
    iretq

on_call:
    lea rax, [rdi + rsi]
    iretq
