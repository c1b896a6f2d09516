# exit_status: end the machine with a status of the guest's choice.
#
# Teaches: the debug-exit device: no real PC has it, so a guest can say how a test went.
# Mode:    real (16-bit), at 0x1000.
# Prints:  nothing.
# Ends:    debug-exit 42, status (42 << 1) | 1 = 85.

.intel_syntax noprefix
.include "ports.inc"
.code16

    mov al, 42
    out DEBUG_EXIT, al
    hlt                             # never reached: the machine is off
