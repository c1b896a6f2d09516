# driver: sends back what comes in at COM2, polling.
#
# To do: set 115200 baud (divisor 1), 8 bits, no parity, 1 stop bit; interrupts off.  Then, for ever: wait for a
# character, take it; if it is Ctrl-D (4), HLT; else wait until the transmitter takes one, and send it.

.intel_syntax noprefix
.code16

.set COM2, 0x2F8
.set CTRL_D, 4

    mov dx, COM2
    in al, dx                       # a character, whether there is one or not
    out dx, al                      # sent, whether there is room or not
    hlt
