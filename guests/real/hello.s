# hello: print a greeting through the serial port.
#
# Teaches: port I/O, and polling a UART before each character.
# Mode:    real (16-bit), at 0x1000.
# Prints:  the greeting below.
# Ends:    HLT, status 0.

.intel_syntax noprefix
.code16

.set COM1_DATA, 0x3F8               # the first serial port: write here to send
.set COM1_STATUS, 0x3FD             # its line status register
.set CAN_SEND, 0x20                 # the status bit "transmitter holding register empty"

    cld                             # LODSB goes upwards
    mov si, offset greeting         # DS is 0, so an offset is an address
next:
    lodsb                           # AL = the character at SI, SI += 1
    test al, al                     # the zero byte behind the text?
    jz done
    mov ah, al                      # IN needs AL
    mov dx, COM1_STATUS
wait:
    in al, dx                       # each IN and OUT leaves the guest: the hypervisor answers
    test al, CAN_SEND
    jz wait
    mov dx, COM1_DATA
    mov al, ah
    out dx, al
    jmp next
done:
    hlt                             # interrupts are off, so nothing can wake it: the end

greeting:
    .asciz "Hello from the guest! I am 16-bit code on a virtual CPU.\n"
