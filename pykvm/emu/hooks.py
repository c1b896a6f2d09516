"""Unicorn itself: its library, and how it calls functions of C, which its own binding cannot have
it do."""

from __future__ import annotations

import ctypes
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.errors import EmulatorUnavailable

Uc = Any
"""`unicorn.Uc`, which says of no method what it takes."""

CODE_BUFFER = 128 << 20
"""Bytes of this process's addresses for the code that Unicorn makes of a guest's, which begins anew
when they are full.  By itself it would reserve 1 GiB for each processor."""


def import_unicorn() -> Any:
    """The library.

    Raises:
        EmulatorUnavailable: it is not installed, or cannot be loaded.
    """
    try:
        import unicorn
    except ImportError as error:
        raise EmulatorUnavailable(
            f"the emulator is not installed: pip install 'unicorn>=2.1,<2.2' ({error})"
        ) from error
    return unicorn


def new_uc() -> Uc:
    """A processor that can be in all modes.

    Raises:
        EmulatorUnavailable: there is no Unicorn.
    """
    unicorn = import_unicorn()
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.ctl_set_tcg_buffer_size(CODE_BUFFER)
    return uc


def _library() -> Any:
    from unicorn.unicorn_py3.unicorn import uclib

    return uclib


def address_of(function: str) -> Any:
    """The address of one of Unicorn's functions, for C to call."""
    address = ctypes.cast(getattr(_library(), function), ctypes.c_void_p).value
    assert address is not None
    return ffi.cast("void *", address)


def add_hook(uc: Uc, kind: int, function: str, opaque: Any) -> int:
    """Have Unicorn call a function of `pykvm._shim`, wherever the guest is.

    Args:
        uc: the processor.
        kind: where it is called (UC_HOOK_*).
        function: its name.
        opaque: what it is given, a pointer of cffi's; it must stay.

    Returns:
        a handle, for `remove_hook`.

    Raises:
        EmulatorUnavailable: Unicorn refused.
    """
    handle = ctypes.c_size_t()
    status = _library().uc_hook_add(
        uc._uch,
        ctypes.byref(handle),
        kind,
        ctypes.c_void_p(int(ffi.cast("uintptr_t", ffi.addressof(lib, function)))),
        ctypes.c_void_p(int(ffi.cast("uintptr_t", opaque))),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),  # an end before the beginning: everywhere
    )
    if status:
        raise EmulatorUnavailable(f"the emulator refused to be watched (error {status})")
    return handle.value


def remove_hook(uc: Uc, handle: int) -> None:
    """Have Unicorn call it no more."""
    _library().uc_hook_del(uc._uch, ctypes.c_size_t(handle))
