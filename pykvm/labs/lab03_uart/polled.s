# polled: the checker's own polling echo on COM2, up to Ctrl-D.

.intel_syntax noprefix
.code16

.set COM2, 0x2F8

next:
    mov dx, COM2 + 5
    in al, dx
    test al, 0x01
    jz next
    mov dx, COM2
    in al, dx
    cmp al, 4
    je done
    mov ah, al
    mov dx, COM2 + 5
wait:
    in al, dx
    test al, 0x20
    jz wait
    mov dx, COM2
    mov al, ah
    out dx, al
    jmp next
done:
    hlt
