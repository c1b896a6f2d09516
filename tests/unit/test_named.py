"""Named tuples are those of `typing`, but for what defining them costs."""

from __future__ import annotations

import pickle
import typing
from collections.abc import Callable
from typing import Any

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


def test_a_class_derived_from_it_makes_its_own() -> None:
    class Derived(Cheap):
        """First made before any of its parent is."""

    first, parent = Derived(1, c="x"), Cheap(1, c="x")
    assert type(first) is type(first._replace(a=2)) is Derived
    assert type(parent) is Cheap
    assert first == parent
    assert repr(first) == "Derived(a=1, b=(), c='x')"


def test_what_is_made_of_a_sequence_or_a_dict_is_the_same() -> None:
    assert Cheap._make([1, (2,), "x"]) == Cheap(1, (2,), "x")
    assert Cheap(1)._asdict() == Original(1)._asdict()
    match Cheap(3):
        case Cheap(a, (), c):
            assert (a, c) == (3, "c")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda kind: kind(),
        lambda kind: kind(1, d=2),
        lambda kind: kind(1, 2, 3, 4),
        lambda kind: kind(1, a=2),
        lambda kind: kind(1)._replace(d=2),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_it_refuses_in_the_same_words(wrong: Callable[[Any], object], is_first: bool) -> None:
    class Fresh(NamedTuple):
        a: int
        b: tuple[int, ...] = ()
        c: str = "c"

    if not is_first:
        Fresh(1)
    with pytest.raises((TypeError, ValueError)) as ours:
        wrong(Fresh)
    with pytest.raises(ours.type) as theirs:
        wrong(Original)
    assert str(ours.value) == str(theirs.value).replace("Original", "Fresh")


def test_it_refuses_the_same() -> None:
    with pytest.raises(TypeError):
        Cheap()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Cheap(1).a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Cheap(1).d = 2  # type: ignore[attr-defined]
