"""The task sets are those that were frozen, and a split knows nothing of the other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.tasksets import SETS, UNTOUCHED, made
from pockethive.core.errors import BadInput, ModelError
from pockethive.inference.tasks import PRIMITIVES, checked, task_set

SETS_AT = Path(__file__).parents[2] / "engine" / "inference" / "tasksets"
WORDS = Path(__file__).parents[2] / "bench" / "taskset_words.yaml"


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_three_hundred_different_items_are_held_out_and_none_is_tuned_on(primitive: str) -> None:
    held, tune = task_set(primitive, "held"), task_set(primitive, "tune")
    assert len(held.items) >= 300
    assert len({repr(item) for item in held.items}) == len(held.items)
    assert not [item for item in held.items if item in tune.items]


@pytest.mark.parametrize("primitive", ["choose", "label", "rank"])
def test_the_right_option_stands_once_and_anywhere(primitive: str) -> None:
    items = task_set(primitive, "held").items
    assert all(item["options"].count(item["options"][item["right"]]) == 1 for item in items)
    places = [sum(item["right"] == place for item in items) for place in range(4)]
    assert max(places) < 2 * min(places)


def test_every_answer_to_extract_stands_in_its_passage_and_none_is_there_when_none_should() -> None:
    for item in task_set("extract", "held").items:
        assert item["kind"] in ("span", "absent")
        assert item["right"] in item["passage"]


@pytest.mark.parametrize("primitive", ["label", "extract", "fill", "compress"])
def test_what_is_drawn_from_worlds_is_drawn_again_to_the_byte(primitive: str) -> None:
    for split in SETS[primitive]:
        assert made(primitive, split, []) == (SETS_AT / f"{primitive}.{split}.jsonl").read_bytes()


def test_no_split_of_the_words_has_a_name_or_a_sentence_of_another() -> None:
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))

    def texts(told: Any) -> set[str]:
        if isinstance(told, str):
            return {told}
        return set[str]().union(*map(texts, told.values() if isinstance(told, dict) else told))

    kept = {
        split: texts([told["people"], told["towns"], told["filler"], told["subjects"]])
        | {name for kind in told["kinds"].values() for name in kind["names"]}
        | {
            says
            for kind in told["kinds"].values()
            for fact in kind["facts"].values()
            for says in (*fact["says"], *fact["asks"])
        }
        for split, told in words.items()
    }
    assert set(kept) == {"tune", "spent", "held"}
    assert not (kept["tune"] & kept["held"] | kept["spent"] & kept["held"])
    assert "label" in UNTOUCHED, "its held-out items may be of the older words"


def test_a_changed_set_and_an_unknown_primitive_are_refused() -> None:
    body = (SETS_AT / "label.held.jsonl").read_bytes()
    with pytest.raises(ModelError, match="not the one that was frozen"):
        checked("label", "held", body.replace(b"sport", b"money", 1))
    with pytest.raises(BadInput, match="one of choose"):
        task_set("judge", "held")
