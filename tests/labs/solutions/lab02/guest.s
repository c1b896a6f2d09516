# Lab 2, solved.

.intel_syntax noprefix
.code16

.set SCREEN, 0xE9
.set KEY, 0xEA
.set STATUS, 0xEB

next:
    in al, STATUS
    test al, al
    jz done
    in al, KEY
    cmp al, 'a'
    jb say
    cmp al, 'z'
    ja say
    sub al, 'a' - 'A'
say:
    out SCREEN, al
    jmp next
done:
    hlt
