# draw: draws a picture on the canvas (README.md, section 7).
#
# To do: HLT if there is no canvas.  Else read SIZE; draw a white border one pixel wide, blue inside it, and the
# tile; then FLIP once, and HLT.  At most 200 accesses to the canvas in all.

.intel_syntax noprefix
.code64

.set CANVAS, 0xD0000000             # where the machine has it
.set ID, 0x00
.set SIZE, 0x04
.set ORIGIN, 0x08
.set EXTENT, 0x0C
.set FILL, 0x10
.set FLIP, 0x14
.set FAULTS, 0x18
.set PIXELS, 0x1000
.set MAGIC, 0x564E4143              # "CANV"

.set WHITE, 0xFF
.set BLUE, 0x02
.set TILE, 32                       # columns and rows of the tile
.set TILE_AT, 4                     # its first column, and its first row

    mov ebx, CANVAS                 # a 32-bit move clears the upper half
    mov byte ptr [rbx + PIXELS], WHITE
    mov dword ptr [rbx + FLIP], 1
    hlt
