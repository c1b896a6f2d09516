# driver: prints a text on the batch printer, in real mode.
#
# The text's address (below 1 MiB) is the dword at 0x500, its length (0, or more than 16 bits can say) the dword at 0x504.
#
# To do: have it printed, at most LARGEST bytes with each ring of the doorbell, and read STATUS after each.  If that is not 0, stop
# there.  Store the last STATUS (0 if there was none) as the dword at 0x508; HLT.

.intel_syntax noprefix
.code16

.set ADDRESS, 0x330
.set LENGTH, 0x334
.set DOORBELL, 0x338                # read: STATUS
.set LARGEST, 4096

    mov esi, [0x500]
    mov ebx, [0x504]
    hlt
