# exception: a division by zero, to a handler that steps over it, and back.

.intel_syntax noprefix
.include "bench.inc"
.code64

.set DIVIDE_ERROR, 0
.set DIV_LENGTH, 2

    bench
    gate DIVIDE_ERROR, on_divide_error
    xor ecx, ecx
    stamp
    div ecx
    stamped

on_divide_error:
    add qword ptr [rsp], DIV_LENGTH
    iretq

    idt_here
