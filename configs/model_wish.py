"""`model:` of a team file: one by name, or what any that is here must have.

    model: {name: smollm2-135m-instruct, quantization: int4, arithmetic: quick}
    model: {at_least: 100M, fits: auto, speed: 20, licence: [Apache-2.0, MIT]}

Guards: a wish that nothing here fulfils is a fault of the file at its place, with what there is.
"""

import re
from collections.abc import Callable
from typing import Final

from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree
from pockethive.core.errors import PocketHiveError
from pockethive.core.spec import (
    ARITHMETICS,
    EXACT,
    NO_CHOICE,
    NO_CHOICE_CURE,
    ONE_ARITHMETIC,
    QUICK,
    ModelNeed,
    ModelWish,
)

QUANTIZATIONS: Final = ("int8", "int4", "int8onnx", "int4onnx")
_NAMED: Final = ("name", "quantization", "arithmetic")
_WISHED: Final = ("at_least", "at_most", "fits", "speed", "licence")
_COUNT: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([MB])")
_UNITS: Final = {"M": 10**6, "B": 10**9}

Choosing = Callable[[ModelWish], ModelNeed]
"""The model that is here for a wish. Raises PocketHiveError: none will do."""


def read_model(read: Reader, tree: Tree | None, choosing: Choosing) -> ModelNeed | None:
    """The model that a team wants; None where it names none, or after a fault."""
    if tree is None or tree.kind == "nothing":
        return None
    if tree.kind == "text":
        return ModelNeed(name=tree.text)
    if "name" not in tree.entries and any(key in tree.entries for key in _WISHED):
        return _chosen(read, tree, choosing)
    entries = read.mapping(tree, _NAMED, "model")
    name = read.need(tree, entries, "name", "model")
    quantization, arithmetic = entries.get("quantization"), entries.get("arithmetic")
    need = ModelNeed(
        name=read.text(name, "name"),
        quantization=read.one_of(quantization, "quantization", QUANTIZATIONS, "int8"),
        arithmetic=read.one_of(arithmetic, "arithmetic", ARITHMETICS, EXACT),
    )
    if arithmetic and need.arithmetic == QUICK and need.quantization in ONE_ARITHMETIC:
        read.fault(arithmetic.where, NO_CHOICE, NO_CHOICE_CURE)
    return need


def _chosen(read: Reader, tree: Tree, choosing: Choosing) -> ModelNeed | None:
    before, entries = len(read.problems), read.mapping(tree, _WISHED, "model")
    wish = ModelWish(
        at_least=_count(read, entries.get("at_least"), "at_least"),
        at_most=_count(read, entries.get("at_most"), "at_most"),
        fits=read.one_of(entries.get("fits"), "fits", ("auto",)) == "auto",
        speed=read.whole(entries.get("speed"), "speed", (1, 100_000), 0),
        licences=read.texts(entries.get("licence"), "licence"),
    )
    if len(read.problems) > before:
        return None
    try:
        return choosing(wish)
    except PocketHiveError as error:
        read.fault(tree.where, error.what, error.cure)
        return None


def _count(read: Reader, tree: Tree | None, what: str) -> int:
    """Parameters as people write them."""
    if tree is None:
        return 0
    found = _COUNT.fullmatch(tree.text) if tree.kind == "text" else None
    if found is None:
        said = repr(tree.text) if tree.text else tree.kind
        read.fault(tree.where, f"{what} must be a count of parameters, found {said}", "write 100M")
        return 0
    return int(float(found[1]) * _UNITS[found[2]])
