"""Builds `pykvm._shim`, the cffi extension (API mode: the compiler lays out every struct)."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = (
    "ioctl.c",
    "runloop.c",
    "bare.c",
    "kick.c",
    "native.c",
    "details.c",
    "recorder.c",
    "watch.c",
    "traps.c",
    "histogram.c",
)
DECLARATIONS = (
    "kvm.cdef.h",
    "kvm_irq.cdef.h",
    "kvm_numbers.cdef.h",
    "recorder.cdef.h",
    "histogram.cdef.h",
    "shim.cdef.h",
    "details.cdef.h",
    "watch.cdef.h",
    "traps.cdef.h",
)

ffibuilder = FFI()
for declaration in DECLARATIONS:
    ffibuilder.cdef((HERE / declaration).read_text(encoding="utf-8"))
ffibuilder.set_source(
    "pykvm._shim",
    (HERE / "preamble.h").read_text(encoding="utf-8"),
    sources=[f"csrc/{name}" for name in SOURCES],
    include_dirs=["csrc"],
    depends=[f"csrc/{path.name}" for path in HERE.glob("*.h")],
    extra_compile_args=["-O2", "-std=gnu11", "-Wall", "-Wextra"],
    py_limited_api=True,
)
