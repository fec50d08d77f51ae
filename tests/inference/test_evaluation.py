"""Answers are marked as a reader would, kept for just this model, and told in words."""

import argparse
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.cli.evaluation import words
from pockethive.cli.models import register
from pockethive.core.errors import BadInput, ModelError
from pockethive.core.ports import Answer, Span
from pockethive.inference.answers import confidence
from pockethive.inference.bundle import Bundle, open_bundle
from pockethive.inference.evaluation import (
    ACCURACY,
    Marked,
    Measured,
    keep,
    kept_results,
    marked,
    marks,
    measured,
    parsed,
)
from pockethive.inference.quality import Quality, write_quality
from pockethive.inference.reliability_plot import draw
from pockethive.inference.tasks import PRIMITIVES, task_set
from pockethive.inference.testing import ScriptedModel


def answer(value: object) -> Answer:
    return Answer(value=value, confidence=0.5, evidence=())


def result(primitive: str = "label", right: int = 3, count: int = 4) -> Measured:
    found = [Marked("kind", n < right, float(n < right), 0.75) for n in range(count)]
    return measured(task_set(primitive, "held"), found)


@pytest.mark.parametrize(
    ("primitive", "item", "value", "score"),
    [
        ("choose", {"right": 2}, 2, 1.0),
        ("label", {"right": 2}, 1, 0.0),
        ("rank", {"right": 5}, (3, 5, 0), 0.5),
        ("extract", {"right": "five pounds"}, Span("five euros", 0, 10), 0.5),
        ("extract", {"right": "old tram"}, Span("the old tram", 0, 12), 1.0),
        ("extract", {"right": ""}, None, 1.0),
        ("extract", {"right": "five"}, None, 0.0),
        (
            "fill",
            {"right": {"town": "Oslo", "year": "1921"}},
            {"town": "Oslo", "year": "1922"},
            0.5,
        ),
        ("compress", {"right": ["Oslo", "1921"], "budget": 20}, "In Oslo.", 0.5),
        ("compress", {"right": ["Oslo", "1921"], "budget": 10}, "In Oslo since 1921.", 0.0),
    ],
)
def test_an_answer_is_marked(
    primitive: str, item: dict[str, object], value: object, score: float
) -> None:
    mark = marked(primitive, {"kind": "any", **item}, answer(value))
    assert mark.score == score
    assert mark.right == (score == 1.0)


def test_words_in_another_order_are_no_exact_span() -> None:
    mark = marked("extract", {"kind": "span", "right": "old tram"}, answer(Span("tram old", 0, 8)))
    assert not mark.right
    assert mark.score > 0.99


def test_the_figures_are_those_of_the_marks() -> None:
    told = result(right=3, count=4)
    assert (told.right, told.items, told.score, told.kinds) == (3, 4, 0.75, {"kind": (3, 4)})
    assert told.ece == 0
    assert told.low == 0.3  # Wilson's for 3 of 4
    assert told.score_low == 0.26


def test_results_stay_beside_the_card_until_model_set_or_forms_change(small_bundle: Bundle) -> None:
    assert kept_results(small_bundle) == []
    keep(small_bundle, [result("label")])
    keep(small_bundle, [result("rank", 2)])
    assert kept_results(small_bundle) == [result("label"), result("rank", 2)]
    assert open_bundle(small_bundle.folder, full=True) == small_bundle, "the card stays as it is"
    raw = (small_bundle.folder / ACCURACY).read_bytes()
    with pytest.raises(ModelError, match="another model"):
        parsed(raw, "0" * 64)
    card = small_bundle.card.sha256
    told = orjson.loads(raw)
    told["results"][0]["forms"] = told["results"][1]["task_set"] = "0" * 64
    assert parsed(orjson.dumps(told), card) == []
    told["results"][0]["low"] = 0.99
    with pytest.raises(ModelError, match="not that of its items"):
        parsed(orjson.dumps(told), card)
    with pytest.raises(ModelError, match="version 2"):
        parsed(orjson.dumps(told | {"format": 2}), card)
    (small_bundle.folder / ACCURACY).write_bytes(b"{")
    assert kept_results(small_bundle) == []


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["format", "card", "results", "bins", "kinds"]), inner
            )
        ),
        max_leaves=8,
    ).map(
        lambda told: (
            orjson.dumps(told, option=orjson.OPT_PASSTHROUGH_DATACLASS) if not _huge(told) else b""
        )
    )
)
def test_what_is_no_file_of_results_is_refused(raw: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be used"):
        parsed(raw, "0" * 64)


def _huge(told: object) -> bool:
    if isinstance(told, dict):
        return any(map(_huge, told.values()))
    if isinstance(told, list):
        return any(map(_huge, told))
    return isinstance(told, int) and abs(told) >= 1 << 63


def test_a_card_in_words_says_what_the_model_must_not_be_used_for(small_bundle: Bundle) -> None:
    told = "\n".join(words(small_bundle, []))
    assert "Not measured here yet: pockethive models eval tiny --quantization" in told
    assert "Must not judge by yes or no (on the card: not measured)" in told
    told = "\n".join(words(small_bundle, [result("label"), result("rank", 400, 400)]))
    assert "Below 80 % and only to be used with a check: label." in told
    kept = Quality(
        card=small_bundle.card.sha256,
        tokens=100,
        perplexity=9.5,
        perplexity_before=9.0,
        agreement=0.97,
        peak_bytes=1,
    )
    write_quality(small_bundle.folder, kept)
    assert "It agrees with its source on 97.0% of 100 tokens" in "\n".join(words(small_bundle, []))


def test_the_command_prints_the_card(
    small_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = argparse.ArgumentParser()
    register(top.add_subparsers(required=True))
    args = top.parse_args(["models", "card", str(small_bundle.folder), "--home", str(tmp_path)])
    assert args.run(args) == 0
    assert capsys.readouterr().out.startswith("tiny int8: ")


def test_the_plot_is_a_picture_with_a_circle_for_each_bin_that_holds_answers() -> None:
    told = ElementTree.fromstring(draw("a <model> & more", [result("label"), result("rank", 4)]))
    assert len(told.findall("{http://www.w3.org/2000/svg}circle")) == 2


def test_answers_are_put_together_from_what_was_given() -> None:
    model = ScriptedModel()
    passage = "The old tram stands in Oslo. It is red. Somebody likes that."
    made = model.compress(passage, 40)
    assert made.value == "The old tram stands in Oslo. It is red."
    assert model.compress(passage, 3).value == ""
    order = model.rank("Where does the tram stand?", ["A cat sleeps.", passage]).value
    assert order == (1, 0)
    filled = model.fill(passage, {"town": "Where does the tram stand?", "colour": ""})
    assert all(said is None or said in passage for said in filled.value.values())
    assert 0 < made.confidence < 1
    with pytest.raises(BadInput, match="no field"):
        model.fill(passage, {})
    with pytest.raises(BadInput, match="nothing to choose"):
        model.choose("Where?", [])
    with pytest.raises(BadInput, match="at most 64"):
        model.extract("It is so. " * 65, "Who?")


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_any_model_can_be_measured_on_every_set(primitive: str) -> None:
    tasks = task_set(primitive, "held")
    told: list[int] = []
    found = marks(replace(tasks, items=tasks.items[:5]), ScriptedModel(), told.append)
    assert told == [1, 2, 3, 4, 5]
    assert all(0 <= each.confidence <= 1 and 0 <= each.score <= 1 for each in found)
    figures = measured(tasks, found)
    assert figures.items == 5
    assert figures.forms != result("label" if primitive != "label" else "rank").forms


def test_confidence_is_the_logistic_function_of_the_evidence() -> None:
    assert confidence((0.0, 1.0), (0.0,)) == 0.5
    assert confidence((1.0, 2.0), (0.5,)) == pytest.approx(0.880797)
    assert confidence((0.0, 1.0), (1e9,)) <= 1
    with pytest.raises(BadInput, match="weights"):
        confidence((0.0,), (1.0,))
