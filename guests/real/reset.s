# reset: ask the keyboard controller to reset the machine.
#
# Teaches: how PCs are rebooted since the AT: bit 0 of the 8042's output port is the processor's
#          reset line, and command 0xFE pulses it.
# Mode:    real (16-bit), at 0x1000.
# Prints:  one line, before.
# Ends:    reset, status 0; debug-exit 1 (status 3) if nothing happens.

.intel_syntax noprefix
.include "console.inc"
.code16

.set INPUT_BUFFER_FULL, 1 << 1      # in the controller's status: it has not taken the last byte
.set PULSE_RESET, 0xFE

    cld
    mov si, offset text
    call print
wait:
    in al, KEYBOARD_COMMAND
    test al, INPUT_BUFFER_FULL
    jnz wait
    mov al, PULSE_RESET
    out KEYBOARD_COMMAND, al
    jmp fail

console

text:
    .asciz "Resetting.\n"
