"""Constrained texts satisfy their schemas, as a checker says that knows no grammar."""

import random

import pytest

from bench.grammar import drawn, fault, written
from pockethive.inference.session import Session

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 9},
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 3},
            "minItems": 1,
            "maxItems": 2,
        },
        "kind": {"enum": ["a", "b"]},
        "odd": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"n": 0},
        {"n": True},
        {"n": 1.5},
        {"n": 1, "more": 1},
        {"n": 1, "tags": []},
        {"n": 1, "tags": ["long"]},
        {"n": 1, "kind": "c"},
        {"n": 1, "odd": 3},
    ],
)
def test_the_checker_finds_what_breaks_a_schema(value: object) -> None:
    assert fault({"n": 9, "tags": ["x", "y"], "kind": "b", "odd": None}, SCHEMA) == ""
    assert fault(value, SCHEMA)


@pytest.mark.model
def test_texts_of_drawn_schemas_are_valid(model: Session) -> None:
    rng = random.Random(3)
    schemas = [drawn(rng) for _ in range(10)]
    tally = written(model, schemas, texts=5, seed=3)
    assert tally.wrong == []
    assert tally.valid == 5
