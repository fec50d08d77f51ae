"""ONNX Runtime behind the batcher's door: two drawn layers, real kernels, alike in every way.

The files in tests/data/tiny_onnx are made by the script beside them.
"""

import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pockethive.core.errors import ModelError
from pockethive.inference import requests
from pockethive.inference.batcher import Batcher, Begin, Read
from pockethive.inference.blocks import BLOCK, Blocks
from pockethive.inference.onnx_graph import DESKS, OnnxGraph
from pockethive.inference.requests import Writing
from pockethive.inference.rescoring import Held, reread
from pockethive.inference.slices import Floats
from tests.inference.drawer import Drawer

HERE = Path(__file__).parents[1] / "data" / "tiny_onnx"
CONTEXT = 256
VOCABULARY = 1024
ROUNDING = 1e-4


@pytest.fixture(scope="module", params=[HERE, HERE / "four"], ids=["int8", "four bits"])
def graph(request: pytest.FixtureRequest) -> OnnxGraph:
    folder: Path = request.param
    return OnnxGraph(folder, 2, CONTEXT)


def fresh(graph: OnnxGraph, blocks: int = 64, remembered: int | None = None) -> Batcher:
    graph.provide(blocks)
    return Batcher(graph, Blocks(blocks, remembered))


def run(many: Batcher, *works: Any) -> list[Any]:
    ends: dict[int, Any] = {}

    def ended(number: int, made: Any, error: BaseException | None) -> None:
        ends[number] = error or made

    for number, work in enumerate(works):
        many.add(work, partial(ended, number))
    while len(many):
        many.step(0.0)
    return [ends[number] for number in range(len(works))]


def tokens(chance: random.Random, count: int) -> list[int]:
    return [chance.randrange(1, VOCABULARY) for _ in range(count)]


class Pen:
    """Draws the likeliest token, and keeps the logits that it saw."""

    def __init__(self, most: int) -> None:
        self.ids: list[int] = []
        self.seen: list[Floats] = []
        self.how = Writing(draw=self.draw, stop_ids=frozenset(), most=most, show=lambda _: False)

    def draw(self, logits: Floats) -> int:
        self.seen.append(np.array(logits))
        self.ids.append(int(logits.argmax()))
        return self.ids[-1]


def written(many: Batcher, prompts: Sequence[Sequence[int]], most: int = 24) -> list[Pen]:
    pens = [Pen(most) for _ in prompts]
    works = (requests.write(ids, pen.how) for ids, pen in zip(prompts, pens, strict=True))
    assert all(made.tokens == most for made in run(many, *works))
    return pens


def same(first: Pen, second: Pen, most: float = 0.0) -> bool:
    """Whether two texts are one, and all logits at most so far apart: in two layers rounding stays
    small, which it does not in thirty."""
    pairs = zip(first.seen, second.seen, strict=True)
    return first.ids == second.ids and all(np.abs(a - b).max() <= most for a, b in pairs)


def read(ids: Sequence[int], piece: int, into: list[Floats]) -> Any:
    """The logits after each token, in pieces."""
    sequence = yield Begin(ids, 1 + len(ids) // BLOCK)
    for start in range(len(sequence), len(ids), piece):
        part = ids[start : start + piece]
        yield [Read(sequence, part, [0] * len(part), lambda rows: into.append(np.array(rows)))]


@pytest.mark.parametrize("texts", [2, 8, DESKS + 3])
def test_texts_written_together_are_those_written_alone(graph: OnnxGraph, texts: int) -> None:
    chance = random.Random(texts)
    prompts = [tokens(chance, chance.randrange(2, 90)) for _ in range(texts)]
    alone = [written(fresh(graph), [prompt])[0] for prompt in prompts]
    together = written(fresh(graph, 400), prompts)
    assert all(same(one, other, ROUNDING) for one, other in zip(alone, together, strict=True))


def test_next_words_drawn_together_are_those_drawn_alone_to_the_bit(graph: OnnxGraph) -> None:
    chance = random.Random(10)
    prompts = [tokens(chance, chance.randrange(20, 90)) for _ in range(9)]
    alone = [written(fresh(graph), [prompt])[0] for prompt in prompts]
    many = fresh(graph, 200)
    for prompt in prompts:  # one after another, each whole
        run(many, requests.remember(prompt[:-2], None))
    apart = [written(many, [prompt], 1)[0] for prompt in prompts]
    together = written(many, prompts)
    for one, other, text in zip(alone, apart, together, strict=True):
        assert same(one, text, ROUNDING)
        assert np.array_equal(other.seen[0], text.seen[0])


@pytest.mark.parametrize("piece", [1, 2, 7, 33])
def test_a_prompt_in_pieces_differs_by_rounding_at_most(graph: OnnxGraph, piece: int) -> None:
    ids, whole, pieces = tokens(random.Random(1), 100), list[Floats](), list[Floats]()
    run(fresh(graph), read(ids, 100, whole))
    run(fresh(graph), read(ids, piece, pieces))
    assert np.abs(np.concatenate(whole) - np.concatenate(pieces)).max() <= ROUNDING


def test_a_text_behind_a_known_beginning_is_the_text_behind_a_new_one(graph: OnnxGraph) -> None:
    prompt, many = tokens(random.Random(2), 75), fresh(graph)
    first, again = written(many, [prompt])[0], written(many, [prompt])[0]
    assert same(first, again), "the second time one token was left to read"


def test_options_side_by_side_score_as_each_alone(graph: OnnxGraph) -> None:
    chance = random.Random(3)
    prompt, options = tokens(chance, 70), [tokens(chance, chance.randrange(1, 9)) for _ in range(9)]
    (together,) = run(fresh(graph), requests.score(prompt, options))
    for option, score in zip(options, together, strict=True):
        (alone,) = run(fresh(graph), requests.score(prompt, [option]))
        assert score == pytest.approx(alone[0], abs=1e-4)


def test_log_probabilities_are_those_of_the_logits(graph: OnnxGraph) -> None:
    prompt, target = tokens(random.Random(4), 20), 7
    (logits,) = written(fresh(graph), [prompt], 1)[0].seen
    (made,) = run(fresh(graph), requests.score(prompt, [[target]]))
    assert made[0] == pytest.approx(float(requests.log_softmax(logits)[target]), abs=1e-4)


def test_a_text_read_token_by_token_is_what_was_written_to_the_bit(graph: OnnxGraph) -> None:
    prompt = tokens(random.Random(5), 40)
    (pen,) = written(fresh(graph), [prompt])
    held = Held(pen.ids, lambda logits, token: float(logits.max() - logits[token]))
    (total,) = run(fresh(graph), reread(prompt, held, stepwise=True))
    told = [requests.log_softmax(row)[token] for row, token in zip(pen.seen, pen.ids, strict=True)]
    assert held.lag == 0.0
    assert total == pytest.approx(float(sum(told)), abs=1e-3)


def test_what_is_saved_and_recalled_is_as_if_it_had_been_read(graph: OnnxGraph) -> None:
    files: Any = Drawer()
    beginning = tokens(random.Random(6), 75)
    (fresh_one,) = written(fresh(graph), [[*beginning, 3, 4]])
    assert run(fresh(graph), requests.remember(beginning, files)) == [75]
    many = fresh(graph)
    assert run(many, requests.remember(beginning, files)) == [0]
    (recalled,) = written(many, [[*beginning, 3, 4]])
    assert same(fresh_one, recalled)


def test_many_that_come_and_go_write_what_each_writes_alone(graph: OnnxGraph) -> None:
    """Little memory, few remembered, one gives up: much is moved, returned and lost."""
    chance = random.Random(7)
    beginning = tokens(chance, 50)
    prompts = [beginning[: chance.randrange(50)] + tokens(chance, 9) for _ in range(12)]
    alone = [written(fresh(graph), [prompt])[0] for prompt in prompts]
    many, pens, gone = fresh(graph, 14, 2), [Pen(24) for _ in prompts], set[int]()
    for number, (prompt, pen) in enumerate(zip(prompts, pens, strict=True)):
        many.add(
            requests.write(prompt, pen.how),
            lambda *_: None,
            wanted=partial(lambda n: n not in gone, number),
        )
    while len(many):
        many.step(0.0)
        if len(pens[1].ids) > 5:
            gone.add(1)
    ended = [number for number in range(len(prompts)) if number not in gone]
    assert all(same(alone[number], pens[number], ROUNDING) for number in ended)


def test_a_prompt_may_fill_the_whole_context(graph: OnnxGraph) -> None:
    ids, many, whole = tokens(random.Random(8), CONTEXT), fresh(graph), list[Floats]()
    run(many, read(ids, CONTEXT, whole))
    assert np.concatenate(whole).shape == (CONTEXT, VOCABULARY)
    assert np.isfinite(whole[-1]).all()
    assert written(many, [ids], 1)[0].seen, "known but for its last token"


def test_desks_grow_with_what_lies_on_them(
    graph: OnnxGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = tokens(random.Random(9), 60)
    (wide,) = written(fresh(graph), [prompt])
    monkeypatch.setattr("pockethive.inference.onnx_graph._ROOM", 2 * BLOCK)
    (grown,) = written(fresh(graph), [prompt])
    assert same(wide, grown)


def test_another_graph_is_refused_clearly(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load the model"):
        OnnxGraph(tmp_path, 1, CONTEXT)


@pytest.mark.parametrize("folder", [HERE, HERE / "four"])
def test_kernels_have_one_name_on_one_machine(folder: Path) -> None:
    kernels = OnnxGraph(folder, 2, CONTEXT).kernels
    assert len(kernels) == 8
    assert OnnxGraph(folder, 2, CONTEXT).kernels == kernels
