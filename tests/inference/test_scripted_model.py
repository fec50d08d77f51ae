"""The stand-in keeps the contract of a model."""

import pytest

from pockethive.core.errors import ContextOverflow, ModelError
from pockethive.core.ports import Model, Sampling
from pockethive.inference.testing import ScriptedModel

PASSAGE = "The ferry is called Alva. It runs on batteries. Visitors pay sixty kronor."


def test_it_is_a_model() -> None:
    model: Model = ScriptedModel()
    assert model.model_class.name == "scripted"


def test_it_chooses_the_option_that_shares_words_with_the_question() -> None:
    options = ["about cooking", "about batteries and ferries", "about birds"]
    made = ScriptedModel().choose("Which batteries?", options)
    assert made.value == 1
    assert max(made.scores) == made.scores[1]
    assert 0 < made.confidence < 1


def test_it_extracts_a_copied_phrase_or_nothing() -> None:
    found = ScriptedModel().extract(PASSAGE, "What is the ferry called?").value
    assert found.text == PASSAGE[found.start : found.end]
    assert ScriptedModel().extract("", "Who painted the ceiling?").value is None


def test_it_writes_what_its_script_says_up_to_a_stop() -> None:
    model = ScriptedModel({"weather": "It rains today. END of it."})
    made = model.generate("The weather?", Sampling(stop=("END",)))
    assert (made.text, made.finish) == ("It rains today. ", "stop")
    short = model.generate("The weather?", Sampling(max_tokens=2))
    assert (short.text, short.finish, short.generated_tokens) == ("It rains", "length", 2)
    assert "".join(model.stream("The weather?", Sampling())) == "It rains today. END of it."


def test_its_json_satisfies_the_schema() -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3}, "kind": {"enum": ["a", "b"]}},
        "required": ["n", "kind"],
    }
    assert ScriptedModel().constrain("p", schema, Sampling()).text == '{"n":3,"kind":"a"}'
    with pytest.raises(ModelError, match="did not end"):
        ScriptedModel({"p": "[1, 2, 3]"}).constrain("p", schema, Sampling(max_tokens=1))


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers() -> None:
    with pytest.raises(ContextOverflow, match="has 6 tokens and the model reads 5"):
        ScriptedModel(context=5).score("one two three four five six", ["x"])


def test_it_remembers_a_bounded_number_of_calls() -> None:
    model = ScriptedModel()
    for _ in range(1100):
        model.score("a", ["b"])
    assert len(model.calls) == 1000
