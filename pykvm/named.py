"""Named tuples as `typing` has them, at half the cost of defining one.

A guest's start defines some thirty; `typing.NamedTuple` compiles the annotation of each of their
fields.  Nobody can tell the classes apart: type checkers are shown the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    class _Maker(type):
        """Makes of a class with annotations one that has `collections.namedtuple` as its base."""

        def __new__(cls, name, bases, namespace):
            fields = namespace["__annotations__"]
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            base = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            return type(name, (base,), {"__slots__": (), **namespace})

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
