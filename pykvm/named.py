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
    from operator import itemgetter

    class _Record(tuple):
        """What all named tuples share, as `collections.namedtuple` documents it."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, **changes):
            values = [
                changes.pop(field, value) for field, value in zip(self._fields, self, strict=True)
            ]
            if changes:
                raise ValueError(f"Got unexpected field names: {list(changes)!r}")
            return type(self)(*values)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            values = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({values})"

        def __getnewargs__(self):
            return tuple(self)

    def _make_first(cls, *args, **kwargs):
        """Make the first one of its class, which has its constructor compiled for it.

        Most of a program's records are not made in a short run.
        """
        owner = next(each for each in cls.__mro__ if "_fields" in vars(each))
        names = ", ".join(owner._fields)
        source = f"lambda _cls, {names}: _new(_cls, ({names},))"
        new = eval(source, {"_new": tuple.__new__, "__name__": owner.__module__})
        new.__name__, new.__qualname__ = "__new__", f"{owner.__name__}.__new__"
        new.__defaults__ = tuple(owner._field_defaults.values())
        owner.__new__ = staticmethod(new)
        return new(cls, *args, **kwargs)

    class _Maker(type):
        """Makes of a class with annotations a named tuple.

        `collections.namedtuple` takes five times as long for it, and `typing` twice as long again:
        of all that is imported until a guest starts, that was the dearest part.
        """

        def __new__(cls, name, bases, namespace):
            fields = tuple(namespace["__annotations__"])
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            getters = {field: property(itemgetter(at)) for at, field in enumerate(fields)}
            named = {
                "__slots__": (),
                "__new__": _make_first,
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
            }
            return type(name, (_Record,), {**named, **getters, **namespace})

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})

    class Protocol:
        """A base that promises methods: nothing that a running program looks at."""

    def cast(_, value):
        """A promise to type checkers, of what `value` is."""
        return value
