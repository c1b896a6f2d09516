# sse: arithmetic in vector registers.
#
# Teaches: scalar and packed SSE2 instructions; CR4.OSFXSR, without which they are undefined.
# Mode:    long (64-bit), at 0x1000.
# Prints:  PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if a result is wrong.

.intel_syntax noprefix
.include "console.inc"
.code64

.set CR4_OSFXSR, 1 << 9

    cld
    mov rax, cr4
    or rax, CR4_OSFXSR              # whoever entered us may not have
    mov cr4, rax

    mov eax, 6                      # 6.0 * 7.0 in double precision
    cvtsi2sd xmm0, eax
    mov eax, 7
    cvtsi2sd xmm1, eax
    mulsd xmm0, xmm1
    cvttsd2si eax, xmm0
    cmp eax, 42
    jne fail

    movdqu xmm2, first[rip]         # four additions at once
    movdqu xmm3, second[rip]
    paddd xmm2, xmm3
    movdqu xmm4, sum[rip]
    pcmpeqd xmm2, xmm4
    movmskps eax, xmm2              # a bit for each of the four that are equal
    cmp eax, 0b1111
    jne fail

    sqrtpd xmm5, squares[rip]       # two square roots at once; this operand must be aligned
    cvttpd2dq xmm5, xmm5
    movq rax, xmm5
    mov rcx, 0x0000000C00000009     # 9 and 12
    cmp rax, rcx
    jne fail
    jmp pass

console

    .balign 16
squares:
    .double 81.0, 144.0
first:
    .long 1, 20, 300, 0xFFFFFFFF
second:
    .long 9, 80, 700, 1
sum:
    .long 10, 100, 1000, 0
