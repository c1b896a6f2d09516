# Lab 3, solved.

.intel_syntax noprefix
.code16

.set COM2, 0x2F8
.set CTRL_D, 4

    mov dx, COM2 + 3
    mov al, 0x80                    # DLAB
    out dx, al
    mov dx, COM2
    mov al, 1
    out dx, al
    inc dx
    mov al, 0
    out dx, al
    mov dx, COM2 + 3
    mov al, 0x03                    # 8N1
    out dx, al
    mov dx, COM2 + 1
    mov al, 0
    out dx, al
next:
    mov dx, COM2 + 5
    in al, dx
    test al, 0x01
    jz next
    mov dx, COM2
    in al, dx
    cmp al, CTRL_D
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
