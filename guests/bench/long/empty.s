# empty: two stamps with nothing between them, which is what the stamps themselves take.

.intel_syntax noprefix
.include "bench.inc"
.code64

    bench
    stamp
    stamped
