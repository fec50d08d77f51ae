"""Attributes that are made when somebody first looks."""

from copy import deepcopy
from dataclasses import dataclass

import pytest

from pockethive.core.seldom import Seldom, seldom


@dataclass(slots=True, kw_only=True)
class Shop(Seldom):
    name: str
    shelves: list[str] = seldom(list)
    prices: dict[str, int] = seldom(dict)


def is_made(shop: Shop, name: str) -> bool:
    try:
        object.__getattribute__(shop, name)
    except AttributeError:
        return False
    return True


def test_it_is_made_at_first_sight_and_is_the_objects_own() -> None:
    one, other = Shop(name="one"), Shop(name="other")
    assert not is_made(one, "shelves")
    one.shelves.append("bread")
    one.prices["bread"] = 3
    assert is_made(one, "shelves")
    assert not is_made(other, "prices")
    assert (one.shelves, one.prices) == (["bread"], {"bread": 3})
    assert (other.shelves, other.prices) == ([], {})


def test_who_looks_cannot_tell_whether_it_was_made() -> None:
    looked = Shop(name="a")
    assert looked.shelves == []
    assert looked == Shop(name="a")
    assert repr(looked) == repr(Shop(name="a"))
    copied = deepcopy(looked)
    copied.shelves.append("x")
    assert looked.shelves == []


def test_what_was_never_declared_is_not_there() -> None:
    with pytest.raises(AttributeError, match="Shop has no cellar"):
        Shop(name="a").cellar  # type: ignore[attr-defined]  # noqa: B018 - it is looked at
