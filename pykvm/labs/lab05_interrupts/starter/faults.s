# faults: three handlers of long mode.  Nobody enters this image at its beginning: there are the handlers' addresses.
#
# To do: the handlers (README.md, section 6).

.intel_syntax noprefix
.code64

.set UNDEFINED, 0x500               # quadword: how many UD2 there were
.set WHERE, 0x508                   # quadword: the address of the last page fault
.set ERROR, 0x510                   # quadword: its error code

    .quad on_undefined              # vector 6, #UD
    .quad on_page_fault             # vector 14, #PF
    .quad on_call                   # vector 0x30

on_undefined:
    iretq

on_page_fault:
    iretq

on_call:
    iretq
