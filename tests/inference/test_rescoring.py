"""Reading a text again: the arithmetic of it, and then the default model on texts of all kinds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.errors import BadInput
from pockethive.core.ports import Generation, Rescored, Sampling
from pockethive.core.rescore import MARGIN, WrittenText, judge
from pockethive.inference.batcher import Batcher
from pockethive.inference.blocks import Blocks
from pockethive.inference.rescoring import Held, lag_of, reread
from pockethive.inference.sampling import drawer
from pockethive.inference.session import Session

SIZE = 40
GREEDY = Sampling(max_tokens=20)
DRAWN = Sampling(max_tokens=20, temperature=0.9, top_p=0.95, seed=5)
PASSAGE = (
    "The old lighthouse at Cape Renard was finished in 1874. Its tower is made of grey granite. "
    "The last keeper, Pierre Lacombe, left in 1968 when the lamp was made automatic. Since then "
    "the house beside it has been a museum, and in summer boats bring visitors from the harbour."
)


def logits(seed: int, spread: float = 3.0) -> "np.typing.NDArray[np.float32]":
    return (np.random.default_rng(seed).normal(size=SIZE) * spread).astype(np.float32)


@given(
    st.integers(0, 2**32),
    st.sampled_from((0.0, 0.3, 1.0, 2.0)),
    st.sampled_from((0.1, 0.7, 0.95, 1.0)),
)
def test_what_is_drawn_lags_by_nothing_and_another_token_by_something(
    seed: int, temperature: float, top_p: float
) -> None:
    how = Sampling(temperature=temperature, top_p=top_p, seed=seed)
    draw, behind, other = drawer(how), lag_of(how), lag_of(how)
    for turn in range(4):
        row = logits(seed + turn)
        token = draw(row)
        assert behind(row, token) <= 1e-12
        wrong = (token + 1 + seed % (SIZE - 1)) % SIZE
        assert other(row, wrong) > 0


def test_a_sampling_that_means_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="out of range"):
        lag_of(Sampling(temperature=-1))


def test_what_is_no_number_is_the_worst() -> None:
    held = Held([1, 2, 3], lambda row, _: float(row[0]))
    held.see(np.array([[1.0], [np.nan], [0.5]], np.float32))
    assert (held.lag, held.worst, held.seen) == (np.inf, 1, 3)


class Echo:
    """A graph without weights: after a token it likes the next number best."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, slices: Any) -> Any:
        from pockethive.inference.requests import log_softmax
        from pockethive.inference.slices import Pass

        made, told = [], []
        for piece in slices:
            self.rows.append(len(piece.rows))
            for row, target in zip(piece.rows, piece.targets, strict=True):
                likes = np.zeros(SIZE, np.float32)
                likes[(piece.ids[row] + 1) % SIZE] = 9.0
                made.append(likes)
                told.append(log_softmax(likes)[target])
        return Pass(np.array(made).reshape(-1, SIZE), np.array(told, np.float32))

    def copy(self, copies: Any) -> None:
        """Nothing is kept in blocks."""

    def lose(self, blocks: Sequence[int]) -> None:
        """Nothing is held, so nothing is lost."""

    def dump(self, blocks: Any) -> Any:
        raise AssertionError(blocks)

    def load(self, blocks: Any, contents: Any) -> None:
        raise AssertionError(blocks)


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 300])
def test_a_text_is_shown_place_by_place_however_long_it_is(count: int) -> None:
    graph, ids = Echo(), [(5 + place) % SIZE for place in range(count)]
    ids[count // 2] = 0
    held, ended = Held(ids, lag_of(GREEDY)), []
    turning = Batcher(graph, Blocks(64))
    turning.add(reread([1, 2, 3, 4], held), lambda *end: ended.append(end))
    while not ended:
        turning.step(0.0)
    assert ended[0][1] is None
    assert held.seen == count == sum(graph.rows)
    assert max(graph.rows) <= 128, "logits of a long text would fill the memory"
    if (5 + count // 2) % SIZE:
        assert (held.worst, held.lag) == (count // 2, 9.0)
    assert ended[0][0] < -9.0 or not (5 + count // 2) % SIZE


def asked(model: Session, passage: str = PASSAGE) -> str:
    return model.chat("You summarize texts.", f"{passage}\n\nSummarize it in two sentences.")


def verdict(model: Session, made: Generation, sampling: Sampling, prompt: str) -> str:
    """What a device of the same class says of a text, from its form on the wire."""
    text = WrittenText.read(WrittenText.of(made, model.model_class.id).value())
    return judge(text, model.rescore(prompt, text.ids, sampling))


def elsewhere(model: Session, ids: Any, sampling: Sampling, prompt: str) -> Rescored:
    model.blocks.forget()  # as another device, which has read nothing of it
    return model.rescore(prompt, ids, sampling)


def made_of(model: Session, prompt: str, ids: Any, base: Generation) -> Generation:
    """What somebody would hand in who wants `ids` accepted: all numbers as the model has them."""
    mine = model.rescore(prompt, tuple(ids), GREEDY)
    text = mine.text or model.tokens.decode(ids)
    finish = mine.finish or base.finish
    return replace(base, ids=tuple(ids), text=text, finish=finish, logprob=mine.logprob)


@pytest.mark.model
class TestTheDefaultModel:
    @pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
    def test_an_honest_text_is_accepted(self, model: Session, sampling: Sampling) -> None:
        prompt = asked(model)
        made = model.generate(prompt, sampling)
        assert len(made.ids) in (made.generated_tokens, made.generated_tokens + 1)
        assert verdict(model, made, sampling, prompt) == ""
        mine = elsewhere(model, made.ids, sampling, prompt)
        assert abs(mine.logprob - made.logprob) / len(made.ids) * 1e6 < MARGIN / 10

    def test_a_text_that_ends_by_itself_is_accepted_and_one_cut_short_is_not(
        self, model: Session
    ) -> None:
        prompt = model.chat("", "What is the capital of Japan?")
        made = model.generate(prompt, GREEDY)
        assert made.finish == "stop"
        assert made.ids[-1] in model.tokens.stop_ids
        assert verdict(model, made, GREEDY, prompt) == ""
        cut = replace(made, ids=made.ids[:-1])
        assert "the text goes on" in verdict(model, cut, GREEDY, prompt)
        longer = replace(made, ids=(*made.ids, made.ids[0]))
        assert "the text goes on" in verdict(model, longer, GREEDY, prompt)

    def test_a_text_ended_by_a_stop_string_is_accepted(self, model: Session) -> None:
        how = Sampling(max_tokens=30, stop=("seven",))
        prompt = "One, two, three, four, five,"
        made = model.generate(prompt, how)
        assert made.finish == "stop"
        assert verdict(model, made, how, prompt) == ""

    def test_one_altered_token_is_refused_wherever_it_stands(self, model: Session) -> None:
        prompt = asked(model)
        made = model.generate(prompt, GREEDY)
        for place in (0, len(made.ids) - 2):
            ids = list(made.ids)
            ids[place] = ids[place] + 1
            altered = made_of(model, prompt, ids, made)
            told = verdict(model, altered, GREEDY, prompt)
            assert "is not what this model writes there" in told, (place, told)

    def test_a_random_text_is_refused(self, model: Session) -> None:
        prompt, made = asked(model), model.generate(asked(model), GREEDY)
        ids = np.random.default_rng(1).integers(100, 40_000, len(made.ids)).tolist()
        told = verdict(model, made_of(model, prompt, ids, made), GREEDY, prompt)
        assert "is not what this model writes there" in told

    def test_the_text_of_another_prompt_is_refused(self, model: Session) -> None:
        prompt = asked(model)
        other = model.generate(asked(model, PASSAGE.replace("1874", "1931")), GREEDY)
        assert verdict(model, other, GREEDY, prompt) != ""
        ids = other.ids
        told = verdict(model, made_of(model, prompt, ids, other), GREEDY, prompt)
        assert "is not what this model writes there" in told

    def test_a_text_likelier_than_the_greedy_one_is_refused_all_the_same(
        self, model: Session
    ) -> None:
        prompt, how = "She opened the door and", replace(GREEDY, max_tokens=8)
        made = model.generate(prompt, how)
        rest = model.generate(f"{prompt} the", replace(GREEDY, max_tokens=7))
        likelier = made_of(model, prompt, (*model.tokens.encode(" the"), *rest.ids), made)
        assert likelier.logprob > made.logprob, "greed for one word is not greed for the text"
        assert "token 1 of 8 is not what" in verdict(model, likelier, how, prompt)

    def test_another_seed_or_temperature_is_refused(self, model: Session) -> None:
        prompt = asked(model)
        made = model.generate(prompt, DRAWN)
        assert verdict(model, made, DRAWN, prompt) == ""
        for other in (replace(DRAWN, seed=6), GREEDY):
            told = judge(WrittenText.of(made, ""), model.rescore(prompt, made.ids, other))
            assert "is not what this model writes there" in told

    @pytest.mark.parametrize("ids", [(), (-1,), (10**6,), (5,) * 21])
    def test_what_nobody_can_have_drawn_never_reaches_the_model(
        self, model: Session, ids: tuple[int, ...]
    ) -> None:
        assert model.rescore("Hello", ids, GREEDY).finish == ""
