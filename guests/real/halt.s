# halt: the shortest guest.
#
# Teaches: HLT waits for an interrupt; with interrupts off there is nothing to wait for.
#          What a run of it takes is what it costs to make and to close a machine.
# Mode:    real (16-bit), at 0x1000.
# Prints:  nothing.
# Ends:    HLT, status 0.

.intel_syntax noprefix
.code16

    hlt
