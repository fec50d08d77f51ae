"""Attributes that are made when somebody first looks."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from pockethive.core.seldom import Seldom


@dataclass(slots=True, kw_only=True, eq=False)
class Shop:
    name: str
    shelves = Seldom[list[str]](list)
    prices = Seldom[dict[str, int]](dict)
    rare: dict[str, Any] | None = None


def test_it_is_made_at_first_sight_and_is_the_objects_own() -> None:
    one, other = Shop(name="one"), Shop(name="other")
    assert one.rare is None
    one.shelves.append("bread")
    one.prices["bread"] = 3
    assert (one.shelves, one.prices) == (["bread"], {"bread": 3})
    assert other.rare is None
    assert (other.shelves, other.prices) == ([], {})


def test_it_can_be_another_before_anybody_looked_and_after() -> None:
    shop = Shop(name="a")
    shop.shelves = ["bread"]
    assert shop.shelves == ["bread"]
    shop.shelves = []
    assert (shop.shelves, shop.prices) == ([], {})


def test_a_copy_has_its_own() -> None:
    looked = Shop(name="a")
    assert looked.shelves == []
    copied = deepcopy(looked)
    copied.shelves.append("x")
    assert looked.shelves == []


def test_what_was_never_declared_is_not_there() -> None:
    with pytest.raises(AttributeError):
        Shop(name="a").cellar  # type: ignore[attr-defined]  # noqa: B018 - it is looked at
