"""A recipe starts a swarm again as it was: nothing of its limits is lost on the way."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from pockethive.core.spec import Limits
from pockethive.recipe import Recipe

RECIPE = Recipe(
    team="research",
    documents=(Path("/notes"),),
    devices=3,
    join=(),
    hive=None,
    threads=2,
    mdns=False,
    limits=Limits(),
)


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_comes_back(name: str) -> None:
    for limits in (Limits(), replace(Limits(), **{name: 7})):
        recipe = replace(RECIPE, limits=limits)
        assert Recipe.decode(recipe.encode()) == recipe
