.intel_syntax noprefix
.code16

.set ADDRESS, 0x330
.set LENGTH, 0x334
.set DOORBELL, 0x338                # read: STATUS
.set LARGEST, 4096

    mov esi, [0x500]
    mov ebx, [0x504]
    xor eax, eax
next:
    test ebx, ebx
    jz done
    mov ecx, LARGEST
    cmp ebx, ecx
    jae ring
    mov ecx, ebx
ring:
    mov dx, ADDRESS
    mov eax, esi
    out dx, eax
    mov dx, LENGTH
    mov eax, ecx
    out dx, eax
    mov dx, DOORBELL
    out dx, eax
    in eax, dx
    test eax, eax
    jnz done
    add esi, ecx
    sub ebx, ecx
    jmp next
done:
    mov [0x508], eax
    hlt
