"""What modules on a guest's way to its start have of `typing`, without importing it.

That import would take longer than ten of their own.  Type checkers are shown the originals; names
that occur in annotations only are imported from `typing` itself `if TYPE_CHECKING`.
"""

from __future__ import annotations

__all__ = ["TYPE_CHECKING", "NamedTuple", "Protocol", "cast"]

TYPE_CHECKING = False
"""Type checkers take it for true, whoever defines it."""

if TYPE_CHECKING:
    from typing import NamedTuple, Protocol, cast
else:
    from collections import namedtuple

    class _Maker(type):
        """Makes of a class with annotations one that has `collections.namedtuple` as its base.

        That takes half as long as what `typing` does, which compiles each field's annotation.
        """

        def __new__(cls, name, bases, namespace):
            fields = namespace["__annotations__"]
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            base = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            return type(name, (base,), {"__slots__": (), **namespace})

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})

    class Protocol:
        """A base that promises methods: nothing that a running program looks at."""

    def cast(_, value):
        """A promise to type checkers, of what `value` is."""
        return value
