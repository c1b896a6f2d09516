# x87: floating point as in 1980.
#
# Teaches: the x87 register stack, FNINIT, exact and rounded arithmetic, control and status word.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a result is wrong.

.intel_syntax noprefix
.include "console.inc"
.code32

.set AFTER_FNINIT, 0x037F           # control word: 64-bit precision, to nearest, all masked
.set ZERO_DIVIDE, 1 << 2            # status word
.set INFINITY, 0x7F800000           # as a 32-bit float

    cld
    fninit
    fnstcw [word]
    cmp word ptr [word], AFTER_FNINIT
    jne fail

    fild dword ptr [seven]          # 7 * 7 - 7 = 42
    fld st(0)
    fmul st(0), st(0)
    fsubrp st(1), st(0)
    fistp dword ptr [result]
    cmp dword ptr [result], 42
    jne fail

    fldpi                           # pi, as a 64-bit float
    fstp qword ptr [result]
    cmp dword ptr [result], 0x54442D18
    jne fail
    cmp dword ptr [result + 4], 0x400921FB
    jne fail

    fild dword ptr [seven]          # the square root of 7 to the nearest integer
    fsqrt
    fistp dword ptr [result]
    cmp dword ptr [result], 3
    jne fail

    fld1                            # 1 / 0: infinity, and a flag
    fldz
    fdivp st(1), st(0)
    fstp dword ptr [result]
    cmp dword ptr [result], INFINITY
    jne fail
    fnstsw ax
    test ax, ZERO_DIVIDE
    jz fail
    jmp pass

console

    .balign 8
result:
    .quad 0
seven:
    .long 7
word:
    .word 0
