# unhandled_exception: run into an undefined opcode that nobody handles.
#
# Teaches: what a crash report shows: registers (EAX, EBX, ECX and EDX hold values that are easy
#          to find) and the instruction at EIP.  An AMD host shows a processor after its reset
#          instead: a shutdown leaves nothing defined there (APM vol. 2, "Shutdown Intercept").
# Mode:    protected (32-bit), at 0x1000.
# Prints:  nothing.
# Ends:    a crash, status 126.

.intel_syntax noprefix
.code32

    mov eax, 0xAAAAAAAA
    mov ebx, 0xBBBBBBBB
    mov ecx, 0xCCCCCCCC
    mov edx, 0xDDDDDDDD
    ud2
