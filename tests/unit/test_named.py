"""Named tuples are those of `typing`, but for what defining them costs."""

from __future__ import annotations

import pickle
import typing

import pytest

from pykvm.named import NamedTuple


class Cheap(NamedTuple):
    """What it is."""

    a: int
    b: tuple[int, ...] = ()
    c: str = "c"

    @property
    def twice(self) -> int:
        """A method."""
        return 2 * self.a


class Original(typing.NamedTuple):
    """What it is."""

    a: int
    b: tuple[int, ...] = ()
    c: str = "c"


def test_it_says_the_same_of_itself() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__doc__", "__module__"):
        assert getattr(Cheap, name) == getattr(Original, name), name
    assert repr(Cheap(1)) == repr(Original(1)).replace("Original", "Cheap")
    assert list(Cheap.__annotations__) == list(Original.__annotations__)


def test_its_values_are_the_same() -> None:
    value = Cheap(1, c="x")
    assert value._replace(a=2) == Cheap(2, (), "x")
    assert value.twice == 2
    assert pickle.loads(pickle.dumps(value)) == value
    assert tuple(value) == tuple(Original(1, c="x"))


def test_it_refuses_the_same() -> None:
    with pytest.raises(TypeError):
        Cheap()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Cheap(1).a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Cheap(1).d = 2  # type: ignore[attr-defined]
