# hello_protected: print a greeting from 32-bit code.
#
# Teaches: the flat state that a 32-bit loader hands over: segments of 4 GiB from address 0, no
#          paging, interrupts off.
# Mode:    protected (32-bit), at 0x1000.
# Prints:  a greeting, then PASS.
# Ends:    HLT, status 0; debug-exit 1 (status 3) if the state is another one.

.intel_syntax noprefix
.include "console.inc"
.code32

.set CR0_PE, 1 << 0
.set CR0_PG, 1 << 31
.set INTERRUPTS_ON, 1 << 9

    cld
    mov esi, offset greeting
    call print

    cmp esp, 0x1000                 # the stack grows down from where we are loaded
    jne fail
    mov eax, cr0
    and eax, CR0_PE | CR0_PG
    cmp eax, CR0_PE                 # protected mode, paging off
    jne fail
    pushfd
    pop eax
    test eax, INTERRUPTS_ON
    jnz fail
    mov ax, ds                      # one segment for everything but code
    mov bx, ss
    cmp ax, bx
    jne fail
    push 0x386
    mov eax, esp
    cmp dword ptr ds:[eax], 0x386   # DS begins where SS begins ...
    jne fail
    mov eax, cs:[greeting]          # ... and where CS begins
    cmp eax, ds:[greeting]
    jne fail
    jmp pass

console

greeting:
    .asciz "Hello from 32-bit protected mode.\n"
