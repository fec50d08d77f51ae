"""What a card claims of a model as a judge is what was measured, and a team is read by it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.core.spec import ModelNeed
from pockethive.inference.accuracy import lower_bound, measured
from pockethive.inference.bundle import MODEL_FILES, Card, write_bundle
from pockethive.vocabulary import vocabulary
from tests.inference.made import made_of


@pytest.mark.parametrize(
    ("right", "asked", "low"),
    [(183, 200, 0.868), (170, 200, 0.793), (20, 20, 0.838), (13, 20, 0.432), (0, 5, 0.0)],
)
def test_the_bound_is_wilson_s(right: int, asked: int, low: float) -> None:
    assert lower_bound(right, asked) == measured(f"{right}/{asked}") == low


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_bound_lies_below_what_was_seen_and_more_items_raise_it(asked: int, share: float) -> None:
    right = round(share * asked)
    assert 0 <= lower_bound(right, asked) <= right / asked
    assert lower_bound(right, asked) <= lower_bound(10 * right, 10 * asked)


@pytest.mark.parametrize(
    "text", ["", "9", "9/", "/9", "9/8", "0/0", "-1/9", "9/9/9", "\u0663/9", "1.5/9"]
)
def test_what_is_no_measurement_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="write 170/200"):
        measured(text)


def test_a_team_is_read_by_the_card_of_its_model(card: Card, tmp_path: Path) -> None:
    need = ModelNeed(name="tiny")
    judging = vocabulary(tmp_path).judging
    assert judging(need) is None, "there is no card yet"
    assert judging(ModelNeed(name="nobody knows it")) is None
    for bound in (None, 0.868):
        made = made_of(tmp_path / f"made {bound}", MODEL_FILES)
        target = tmp_path / "models" / "tiny-int8"
        write_bundle(made, replace(card, judge_accuracy=bound), target)
        assert judging(need) == bound
    (target / "card.json").write_text("{}", encoding="utf-8")
    assert judging(need) is None, "a damaged card shows nothing"
