"""A text that the model wrote: what it is asked, and when another device's model accepts it."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.actors.skills.rescore import Rescore
from pockethive.actors.skills.summarize import READ, TOKENS, WORDS, Summarize
from pockethive.core.canonical import decode, encode
from pockethive.core.errors import SkillFailure
from pockethive.core.ports import ModelClass, Sampling
from pockethive.core.rescore import seed_of
from pockethive.inference.testing import ScriptedModel

FOUND = {"findings": [{"quote": "The ferry leaves at seven."}, {"quote": "It takes two hours."}]}
RANKED = {"question": "q", "candidates": [{"score": 3, "finding": {"quote": "Boats sail south."}}]}
WROTE = {"Summarize": "The ferry leaves at seven and takes two hours."}


class Other(ScriptedModel):
    @property
    def model_class(self) -> ModelClass:
        return replace(super().model_class, runtime="scripted 2")


def tools(model: ScriptedModel | None) -> Tools:
    return Tools(model=model, documents=None, sign=bytes, verify=lambda *_: True)


def work(inputs: dict[str, Any] | None = None, skill: str = "summarize", **params: Any) -> Work:
    read = {"search-1": FOUND} if inputs is None else inputs
    return Work(task="run/s/1", name="s", skill=skill, params=params, inputs=read, device="d")


def value(asked: Work, model: ScriptedModel | None = None) -> Any:
    made = SKILLS["summarize"].run(asked, tools(model or ScriptedModel(WROTE)))
    assert made.prompt_tokens
    assert made.generated_tokens
    return decode(encode(made.value), 100_000)


class TestAsking:
    def test_it_asks_for_what_was_found_in_the_order_of_the_inputs(self) -> None:
        inputs = {"rank": RANKED, "found": FOUND, "more": {"text": "A harbour."}, "same": FOUND}
        asked = Summarize().asks(work(inputs, question="When does it leave?", words=20))
        assert asked.user == (
            "The ferry leaves at seven.\n\nIt takes two hours.\n\nA harbour.\n\nBoats sail south."
            "\n\nSummarize these texts in at most 20 words, as an answer to: When does it leave?"
        )
        assert asked.sampling == Sampling(max_tokens=20 * TOKENS)
        assert Summarize().asks(work()).user.endswith(f"in at most {WORDS} words")

    def test_a_text_of_the_task_comes_first_and_what_is_too_long_is_cut_at_a_word(self) -> None:
        asked = Summarize().asks(work(text="word " * READ)).user
        given = asked.split("\n\n")[0]
        assert READ - 10 < len(given) <= READ
        assert given.endswith("word")
        assert "ferry" not in asked

    def test_what_its_owner_minded_is_asked_for_so_that_another_text_comes(self) -> None:
        again = replace(work(), remarks=("shorter", "name\nthe street"))
        assert Summarize().asks(again).user.endswith("words\nMind this: shorter name the street")

    @pytest.mark.parametrize("inputs", [{}, {"search-1": {"findings": []}}, {"a": {"x": 1}}])
    def test_nothing_to_read_is_said_and_not_invented(self, inputs: dict[str, Any]) -> None:
        with pytest.raises(SkillFailure, match="nothing to summarize"):
            SKILLS["summarize"].run(work(inputs), tools(ScriptedModel()))

    def test_an_answer_that_found_nothing_is_nothing_to_read(self) -> None:
        with pytest.raises(SkillFailure, match="nothing to summarize"):
            Summarize().asks(work({"answer": {"answer": "Not found.", "found": False}}))

    @pytest.mark.parametrize("words", [0, 401, True, "many", 2.5])
    def test_a_length_that_is_none_is_refused(self, words: object) -> None:
        with pytest.raises(SkillFailure, match="is no number from 1 to 400"):
            Summarize().asks(work(words=words))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        ("findings", "candidates", "finding", "quote", "text", "answer", "found")
                    ),
                    inner,
                )
            ),
            max_leaves=12,
        )
    )
    def test_whatever_an_input_holds_it_is_asked_about_or_refused(self, odd: Any) -> None:
        with suppress(SkillFailure):
            assert Summarize().asks(work({"a": odd})).user.endswith("words")


class TestReadingAgain:
    def test_an_honest_text_is_accepted_by_the_same_class(self) -> None:
        asked = work(question="When?")
        made = value(asked)
        assert made["text"] == WROTE["Summarize"]
        assert made["model"] == ScriptedModel().model_class.id
        finding = CHECKERS["rescore.summarize"].check(asked, made, tools(ScriptedModel(WROTE)))
        assert finding.accept, finding.reason
        assert "tokens read again: as this model writes them, 0.50 nats" in finding.reason

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"text": "The ferry leaves at eight."}, "spell another text"),
            ({"ids": [84, 104]}, "the text goes on"),
            ({"finish": "length"}, "after its tokens the text ends"),
            ({"mean": -400_000}, "0.100000 nats off"),
            ({"model": "0" * 64}, "it says that class 000000000000 wrote it"),
            ({"mean": 0.5}, "written text: mean"),
            ({"v": 2}, "not of version 1"),
            ({"more": 1}, "unknown more"),
        ],
    )
    def test_a_text_that_was_tampered_with_is_refused(
        self, changes: dict[str, Any], told: str
    ) -> None:
        asked = work()
        made = {**value(asked), **changes}
        finding = CHECKERS["rescore.summarize"].check(asked, made, tools(ScriptedModel(WROTE)))
        assert not finding.accept
        assert told in finding.reason

    def test_a_text_of_another_model_or_another_task_is_refused(self) -> None:
        checker = CHECKERS["rescore.summarize"]
        asked, made = work(), value(work())
        wrote = checker.check(asked, made, tools(ScriptedModel({"Summarize": "Bees make honey."})))
        assert not wrote.accept
        same_way = {"Summarize": WROTE["Summarize"].replace("seven", "eight")}
        wrote = checker.check(asked, made, tools(ScriptedModel(same_way)))
        assert "token 21 of 46 is not what this model writes there" in wrote.reason
        finding = checker.check(asked, made, tools(Other(WROTE)))
        assert "this one is" in finding.reason
        with pytest.raises(SkillFailure, match="cannot read what rank made"):
            checker.check(work(skill="rank"), made, tools(ScriptedModel(WROTE)))

    def test_without_a_model_nobody_writes_and_nobody_judges(self) -> None:
        with pytest.raises(SkillFailure, match="needs a model"):
            SKILLS["summarize"].run(work(), tools(None))
        with pytest.raises(SkillFailure, match="needs a model"):
            Rescore(Summarize()).check(work(), value(work()), tools(None))

    def test_a_prompt_that_does_not_fit_is_nobody_s_text(self) -> None:
        made = value(work())
        finding = CHECKERS["rescore.summarize"].check(
            work(), made, tools(ScriptedModel(WROTE, context=5))
        )
        assert "nobody can have written it" in finding.reason

    def test_nobody_chooses_the_seed(self) -> None:
        asked: list[Sampling] = []

        class Seen(ScriptedModel):
            def generate(self, prompt: str, sampling: Sampling) -> Any:
                asked.append(sampling)
                return super().generate(prompt, sampling)

        value(work(), Seen(WROTE))
        assert asked[0].seed == seed_of(work().task)
