"""Between the API's structs and dataclasses or named tuples of the same field names."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm._shim import ffi
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import DescriptorTable, Segment

if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

NESTED: dict[str, type] = {"struct kvm_segment": Segment, "struct kvm_dtable": DescriptorTable}
"""Which dataclass stands for a struct inside a struct; modules that define more add theirs."""


def load(cls: type[T], struct: Any) -> T:
    """Make a `cls` from a cffi struct, field by field.

    Arrays of bytes become `bytes`, other arrays tuples, nested structs what `NESTED` says.
    """
    return cls(**{name: _to_python(getattr(struct, name)) for name in field_names(cls)})


def store(value: object, struct: Any) -> None:
    """Write each field of a dataclass to the field of that name in a cffi struct."""
    for name in field_names(type(value)):
        field = getattr(value, name)
        if isinstance(field, int):
            setattr(struct, name, field)
        else:
            _store_compound(field, struct, name)


def field_names(cls: type) -> Iterable[str]:
    """The fields of a dataclass or a named tuple."""
    names: Iterable[str] | None = getattr(cls, "_fields", None)
    return cls.__dataclass_fields__ if names is None else names  # type: ignore[attr-defined]


def _to_python(value: Any) -> Any:
    if isinstance(value, int):
        return value
    kind = ffi.typeof(value)
    if kind.kind == "array":
        if kind.item.kind == "primitive" and ffi.sizeof(kind.item) == 1:
            return bytes(ffi.buffer(value))
        return tuple(_to_python(item) for item in value)
    return load(NESTED[kind.cname], value)


def _store_compound(field: Any, struct: Any, name: str) -> None:
    target = getattr(struct, name)
    if isinstance(field, bytes):
        _check_length(len(field), ffi.sizeof(target), name)
        ffi.memmove(target, field, len(field))
    elif isinstance(field, tuple) and not hasattr(field, "_fields"):
        _check_length(len(field), len(target), name)
        for i, item in enumerate(field):
            if isinstance(item, int):
                target[i] = item
            elif isinstance(item, bytes):
                _check_length(len(item), ffi.sizeof(target[i]), name)
                ffi.memmove(target[i], item, len(item))
            else:
                store(item, target[i])
    else:
        store(field, target)


def _check_length(got: int, wanted: int, name: str) -> None:
    if got != wanted:
        raise ValueError(f"{name} has {wanted} elements, not {got}")
