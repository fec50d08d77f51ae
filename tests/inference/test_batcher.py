"""Many requests, one model: whoever else is in a pass, each gets what it would get alone.

The graph here has no weights. Its memory holds the tokens themselves, and what it says after them
follows from the whole history that it finds through the blocks, so that a block that was mixed up,
overwritten or lost shows in the next number.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core.errors import ModelError
from pockethive.inference import requests
from pockethive.inference.batcher import CHUNK, ROWS, Batcher, Order, Work
from pockethive.inference.blocks import BLOCK, Blocks, Copies, blocks_for
from pockethive.inference.requests import Writing, Written
from pockethive.inference.slices import Contents, Pass, Slice
from tests.inference.drawer import Drawer

VOCABULARY = 50
LOST = 10**9  # no token: a history with it says other things


def said(history: Sequence[int]) -> "np.typing.NDArray[np.float32]":
    """Logits after these tokens."""
    return np.random.default_rng(list(history)).random(VOCABULARY, dtype=np.float32)


class Parchment:
    """A graph whose memory is the tokens."""

    def __init__(self, blocks: int) -> None:
        self.memory = np.full((blocks, BLOCK), -1, np.int64)
        self.passes: list[list[int]] = []
        self.rows: list[int] = []
        self.lost: list[int] = []

    def copy(self, copies: Copies) -> None:
        for source, target in copies:
            self.memory[target] = self.memory[source]

    def lose(self, blocks: Sequence[int]) -> None:
        self.memory[list(blocks)] = LOST
        self.lost.extend(blocks)

    def dump(self, blocks: Sequence[int]) -> Contents:
        return (self.memory[list(blocks)],)

    def load(self, blocks: Sequence[int], contents: Contents) -> None:
        self.memory[list(blocks)] = contents[0]

    def run(self, slices: Sequence[Slice]) -> Pass:
        self.passes.append([len(piece.ids) for piece in slices])
        self.rows.append(sum(len(piece.rows) for piece in slices))
        for piece in slices:
            for place, token in enumerate(piece.ids, piece.past):
                self.memory[piece.blocks[place // BLOCK], place % BLOCK] = token
        logits, logprobs = [], []
        for piece in slices:
            history = self.memory[list(piece.blocks)].reshape(-1)
            for row, target in zip(piece.rows, piece.targets, strict=True):
                seen = said(history[: piece.past + row + 1].tolist())
                logits.append(seen)
                logprobs.append(requests.log_softmax(seen)[target])
        shape = (len(logits), VOCABULARY)
        return Pass(np.array(logits, np.float32).reshape(shape), np.array(logprobs, np.float32))


def batcher(blocks: int = 64, remembered: int | None = None) -> tuple[Batcher, Parchment, Blocks]:
    graph, pool = Parchment(blocks), Blocks(blocks, remembered)
    return Batcher(graph, pool), graph, pool


def writing(most: int, into: list[int]) -> Writing:
    def show(token: int) -> bool:
        into.append(token)
        return False

    return Writing(
        draw=lambda logits: int(logits.argmax()), stop_ids=frozenset((0,)), most=most, show=show
    )


def written(prompt: Sequence[int], most: int) -> list[int]:
    """What is written after a prompt by whoever has the model for himself."""
    made: list[int] = []
    while len(made) < most and (token := int(said([*prompt, *made]).argmax())):
        made.append(token)
    return made


def scored(prompt: Sequence[int], option: Sequence[int]) -> float:
    return sum(
        float(requests.log_softmax(said([*prompt, *option[:place]]))[token])
        for place, token in enumerate(option)
    )


def run(many: Batcher, *works: Work) -> list[Any]:
    """The results of requests, or their errors, in their order."""
    ends: dict[int, Any] = {}

    def ended(number: int, made: Any, error: BaseException | None) -> None:
        ends[number] = error or made

    for number, work in enumerate(works):
        many.add(work, partial(ended, number))
    while len(many):
        many.step(0.0)
    return [ends[number] for number in range(len(works))]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_everybody_gets_what_he_would_get_alone(seed: int) -> None:
    chance = random.Random(seed)
    many, graph, blocks = batcher(chance.choice((16, 24, 64)), chance.choice((0, 4, None)))
    beginnings = [[chance.randrange(VOCABULARY) for _ in range(100)] for _ in range(2)]

    def prompt() -> list[int]:
        begun = chance.choice(beginnings)[: chance.randrange(1, 100)]
        return begun + [chance.randrange(VOCABULARY) for _ in range(chance.randrange(60))]

    works: list[Work] = []
    checks: list[Any] = []
    for _ in range(chance.randrange(1, 12)):
        asked = prompt()
        if chance.random() < 0.5:
            most = chance.randrange(1, 40)
            seen: list[int] = []
            works.append(requests.write(asked, writing(most, seen)))
            checks.append((asked, most, seen))
        else:
            options = [
                [chance.randrange(VOCABULARY) for _ in range(chance.randrange(1, 9))]
                for _ in range(chance.randrange(1, 4))
            ]
            works.append(requests.score(asked, options))
            checks.append((asked, options))
    for made, check in zip(run(many, *works), checks, strict=True):
        if len(check) == 3:
            asked, most, seen = check
            assert isinstance(made, Written)
            assert seen == written(asked, most)
        else:
            asked, options = check
            assert made == pytest.approx([scored(asked, each) for each in options], abs=1e-4)
    assert blocks.promised == 0
    assert graph.passes


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_who_stops_listening_takes_nothing_from_the_others(seed: int) -> None:
    chance = random.Random(seed)
    many, _, blocks = batcher(24)
    gone: set[int] = set()
    ends: dict[int, Any] = {}
    asked = [[chance.randrange(VOCABULARY) for _ in range(50)] for _ in range(6)]
    seen: list[list[int]] = [[] for _ in asked]

    def ended(number: int, made: Any, error: BaseException | None) -> None:
        ends[number] = error or made

    for number, prompt in enumerate(asked):
        many.add(
            requests.write(prompt, writing(40, seen[number])),
            partial(ended, number),
            wanted=partial(lambda n: n not in gone, number),
        )
    while len(many):
        many.step(0.0)
        if chance.random() < 0.1:
            gone.add(chance.randrange(len(asked)))
    for number, prompt in enumerate(asked):
        if number in ends:
            assert seen[number] == written(prompt, 40)
        else:
            assert number in gone
    assert blocks.promised == 0


def test_a_long_prompt_does_not_keep_others_waiting_for_their_next_word() -> None:
    many, graph, _ = batcher(128)
    seen: list[int] = []
    prompt = [7] * 10
    many.add(requests.write(prompt, writing(30, seen)), lambda *_: None)
    many.step(0.0)
    long = [chance % VOCABULARY for chance in range(CHUNK * 4)]
    many.add(requests.score(long, [[1]]), lambda *_: None)
    before = len(seen)
    many.step(0.0)
    assert len(seen) == before + 1, "a word came in the pass that read a piece of the long prompt"
    assert sum(graph.passes[-1]) <= CHUNK
    while len(many):
        many.step(0.0)


def test_nobody_being_disturbed_a_prompt_is_read_in_one_pass() -> None:
    many, graph, _ = batcher(128)
    run(many, requests.score([number % VOCABULARY for number in range(CHUNK * 4)], [[1]]))
    assert graph.passes == [[CHUNK * 4]]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=4), st.integers(1, 40))
@settings(max_examples=30)
def test_no_pass_makes_more_rows_than_its_bound(lengths: list[int], options: int) -> None:
    many, graph, _ = batcher(256)
    texts = [[(7 * n + place) % VOCABULARY for place in range(n)] for n in lengths]
    works = [requests.score([1, 2], [text]) for text in texts]
    short = [[place % VOCABULARY, 3, 5] for place in range(options)]
    *alone, together = run(many, *works, requests.score([4, 5], short))
    assert max(graph.rows) <= ROWS
    for text, made in zip(texts, alone, strict=True):
        assert made == pytest.approx((scored([1, 2], text),), rel=1e-4)
    assert together == pytest.approx([scored([4, 5], each) for each in short], rel=1e-4)


def test_a_beginning_that_is_known_is_not_read_again_to_the_token() -> None:
    many, graph, _ = batcher()
    beginning = [number % VOCABULARY for number in range(75)]
    run(many, requests.score([*beginning, 3], [[1]]))
    graph.passes.clear()
    run(many, requests.score([*beginning, 4, 5], [[1]]))
    assert graph.passes == [[2]]


def test_a_beginning_that_many_have_is_read_once_though_they_come_at_once() -> None:
    many, graph, _ = batcher()
    beginning = [number % VOCABULARY for number in range(4 * BLOCK)]
    made = run(many, *(requests.score([*beginning, last], [[1]]) for last in range(8)))
    assert sum(map(sum, graph.passes)) == len(beginning) + 8
    for last, scores in enumerate(made):
        assert scores == pytest.approx([scored([*beginning, last], [1])], abs=1e-4)


def test_what_is_saved_and_recalled_is_as_if_it_had_been_read() -> None:
    files: Any = Drawer()
    beginning = [number % VOCABULARY for number in range(75)]
    assert run(batcher()[0], requests.remember(beginning, files)) == [75]
    other, graph, _ = batcher()
    assert run(other, requests.remember(beginning, files)) == [0]
    assert graph.passes == []
    (made,) = run(other, requests.score([*beginning, 8], [[1, 2]]))
    assert made == pytest.approx([scored([*beginning, 8], [1, 2])], abs=1e-4)
    assert graph.passes == [[2]]


def test_roles_share_the_model_alike_whatever_they_ask() -> None:
    many, graph, _ = batcher(256)
    order: list[str] = []

    def add(role: str, number: int) -> None:
        prompt = [number % VOCABULARY, *([1] * 200)]
        many.add(
            requests.score(prompt, [[1]]), lambda *_: order.append(role), order=Order(role=role)
        )

    seen: list[int] = []
    many.add(requests.write([5] * 20, writing(40, seen)), lambda *_: None)
    many.step(0.0)  # somebody waits for his next word from now on: passes are short
    for number in range(12):
        add("greedy", number)
    for number in range(12, 15):
        add("modest", number)
    while len(many):
        many.step(0.0)
    assert order.index("modest") <= 1, "one role's twelve requests do not come first"
    assert max(place for place, role in enumerate(order) if role == "modest") <= 7
    assert graph.passes


def test_who_must_be_done_soon_goes_first() -> None:
    many, _, _ = batcher(blocks=8)
    order: list[str] = []
    works = [("later", float("inf")), ("later", float("inf")), ("soon", 0.5)]
    for number, (name, deadline) in enumerate(works):
        many.add(
            requests.score([number] * (6 * BLOCK), [[1]]),
            partial(lambda name, *_: order.append(name), name),
            order=Order(deadline=deadline),
        )
    while len(many):
        many.step(0.0)
    assert order == ["soon", "later", "later"]


def test_a_request_that_could_never_fit_is_refused_with_both_numbers() -> None:
    many, _, blocks = batcher(blocks=4)
    (error,) = run(many, requests.score([1] * (5 * BLOCK), [[1]]))
    assert isinstance(error, ModelError)
    assert str(blocks_for(5 * BLOCK + 1) * BLOCK) in str(error)
    assert str(4 * BLOCK) in str(error)
    assert blocks.promised == 0


def test_one_requests_fault_is_its_own() -> None:
    many, _, blocks = batcher()

    def faulty(logits: Any) -> int:
        raise ValueError("a grammar that allows nothing")

    seen: list[int] = []
    bad = Writing(draw=faulty, stop_ids=frozenset(), most=5, show=lambda _: False)
    error, made = run(many, requests.write([1, 2], bad), requests.write([1, 2], writing(5, seen)))
    assert isinstance(error, ValueError)
    assert made == Written(5, "length")
    assert seen == written([1, 2], 5)
    assert blocks.promised == 0


def test_memory_that_is_full_is_waited_for_in_turn() -> None:
    many, _, blocks = batcher(blocks=8)
    prompts = [[number] * (5 * BLOCK) for number in range(1, 6)]
    made = run(many, *(requests.score(prompt, [[1, 2]]) for prompt in prompts))
    for prompt, scores in zip(prompts, made, strict=True):
        assert scores == pytest.approx([scored(prompt, [1, 2])], abs=1e-4)
    assert blocks.used <= 8


@pytest.mark.parametrize("tail", [[], [7, 8, 9]])
def test_options_in_several_groups_need_no_more_than_was_promised(tail: list[int]) -> None:
    prompt = list(range(1, BLOCK // 2))
    options = [[1 + n % 40, 1 + n // 40, 3] for n in range(2 * requests.FORKED_AT_ONCE + 10)]
    needed = blocks_for(len(prompt)) + requests.FORKED_AT_ONCE
    many, _, pool = batcher(needed)
    asked = requests.tails(prompt, options, tail) if tail else requests.score(prompt, options)
    (made,) = run(many, asked)
    for option, value in list(zip(options, made, strict=True))[:: len(options) // 5]:
        wanted = scored([*prompt, *option], tail) if tail else scored(prompt, option)
        assert value == pytest.approx(wanted, abs=1e-4)
    assert not pool.promised


def test_when_nobody_asks_any_more_memory_of_what_is_not_remembered_is_given_back() -> None:
    many, graph, blocks = batcher(16, remembered=2)
    prompts = [[number] * 70 for number in range(4)]
    seen: list[list[int]] = [[] for _ in prompts]
    works = [requests.write(p, writing(30, s)) for p, s in zip(prompts, seen, strict=True)]
    assert len(run(many, *works)) == 4
    assert blocks.used == 2, "many ended at once, and no more is remembered than may be"
    lost = set(graph.lost)
    held = set(np.flatnonzero((graph.memory >= 0).any(axis=1)).tolist())
    assert len(lost) + blocks.used == len(lost | held), "each was given back or is remembered"
    assert all((graph.memory[block] == LOST).all() for block in lost)
    again: list[list[int]] = [[] for _ in prompts]
    for prompt, into in zip(prompts, again, strict=True):  # one after another: at rest between
        run(many, requests.write(prompt, writing(30, into)))
        assert into == written(prompt, 30)
    graph.lost.clear()
    many.step(0.0)
    assert graph.lost == [], "nothing is given back twice"


def test_at_rest_all_is_given_back_but_not_while_somebody_asks() -> None:
    many, graph, blocks = batcher(16)
    prompt, seen = [7] * 70, list[int]()
    run(many, requests.write(prompt, writing(30, [])))
    assert graph.lost == []
    many.add(requests.write(prompt, writing(30, seen)), lambda *_: None)
    many.step(0.0)
    many.rest()
    assert graph.lost == []
    while len(many):
        many.step(0.0)
    assert seen == written(prompt, 30)
    used = blocks.used
    graph.lost.clear()
    many.rest()
    assert (len(graph.lost), blocks.used) == (used, 0)
    again: list[int] = []
    run(many, requests.write(prompt, writing(30, again)))
    assert again == seen
