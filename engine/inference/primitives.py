"""What a small model does well, built on scoring options.

A model of 135 million parameters chooses well among given answers and badly invents its own, so
every primitive ranks candidates. Rule guarded here: what comes out was put in: an option's index,
or words of the passage.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from pockethive.core.errors import BadInput
from pockethive.core.ports import ChoiceForm, Model, Ranking, Sampling, Span
from pockethive.inference.batcher import Ask
from pockethive.inference.forms import fill_places, fill_template
from pockethive.inference.phrases import phrases
from pockethive.inference.prompts import extract_form
from pockethive.inference.spans import Offsets, sentences

MOST_SENTENCES = 64
"""Sentences of a passage that `extract` reads; more make it slow, so the caller must split."""

LEAST_GAIN = 7.0
"""Nats by which a sentence must raise the likelihood of the question for an answer to be there.

Measured with the default model on 17 questions with their passage (8.6 to 26.6) and 17 with a
foreign one (15 below 5.8, two at 14.7).
"""

_UNASKED_WEIGHT = 0.5  # share of a phrase's own likelihood that is taken off; 0 and 1 did worse


class Scorer(Protocol):
    """What primitives are built on (`works.Works`)."""

    def count(self, text: str) -> int:
        """Tokens in `text`."""

    def score(self, prompt: str, options: Sequence[str]) -> Generator[Ask, Any, tuple[float, ...]]:
        """Summed log-probability of each option after `prompt`."""


def choose(
    model: Scorer, forms: Sequence[ChoiceForm], places: dict[str, str], options: Sequence[str]
) -> Generator[Ask, Any, Ranking]:
    """Rank options by likelihood minus likelihood with every place empty, summed over `forms`.

    Zhao et al. 2021, "Calibrate Before Use", arXiv 2102.09690. Raises BadInput without forms or
    options, ContextOverflow.
    """
    if not forms or not options:
        raise BadInput("nothing to choose from", cure="give a prompt form and an option at least")
    totals, tokens = [0.0] * len(options), 0
    for form in forms:
        texts = [f"{form.lead}{option}{form.end}" for option in options]
        prompts = [
            fill_places(form, places),
            fill_places(form, dict.fromkeys(places, form.null)),
        ]
        asked = yield from model.score(prompts[0], texts)
        prior = yield from model.score(prompts[1], texts)
        tokens += sum(map(model.count, prompts))
        totals = [t + a - p for t, a, p in zip(totals, asked, prior, strict=True)]
    return Ranking(tuple(totals), tokens)


def extract(model: Scorer, passage: str, question: str) -> Generator[Ask, Any, Span | None]:
    """Words of `passage` that answer `question`, or None when no sentence is about it.

    First the sentence that makes the question most likely (query likelihood, Ponte and Croft 1998),
    then the phrase in it that the question makes most likely. A text of one sentence, such as a
    goal, is always taken to be about the question: likelihoods of "the second thing" tell nothing
    there. Raises BadInput when `passage` has
    more than `MOST_SENTENCES` sentences, ContextOverflow.
    """
    spans = sentences(passage)
    if len(spans) > MOST_SENTENCES:
        raise BadInput(
            f"the passage has {len(spans)} sentences, at most {MOST_SENTENCES} are read",
            cure="split it into passages",
        )
    if not spans or not question.strip():
        return None
    meter = _Meter(model)
    sentence = yield from _best_sentence(meter, passage, spans, question)
    if sentence is None:
        return None
    start, end = yield from _best_phrase(meter, passage, sentence, question)
    return Span(passage[start:end], start, end, meter.tokens)


def fill(model: Model, prompt: str, schema: dict[str, object], sampling: Sampling) -> Any:
    """A JSON value of `schema`, as Python data. Valid is not useful: check what it says.

    Raises ModelError when `sampling.max_tokens` ran out, ContextOverflow.
    """
    return orjson.loads(model.constrain(prompt, schema, sampling).text)


class _Meter:
    """Scores, and counts the prompt tokens that it took."""

    def __init__(self, model: Scorer) -> None:
        self._model = model
        self.tokens = 0

    def score(self, prompt: str, options: Sequence[str]) -> Generator[Ask, Any, tuple[float, ...]]:
        self.tokens += self._model.count(prompt)
        return self._model.score(prompt, [f" {option}\n" for option in options])


def _best_sentence(
    meter: _Meter, passage: str, spans: Sequence[Offsets], question: str
) -> Generator[Ask, Any, Offsets | None]:
    """The sentence that makes the question most likely, if it does so by `LEAST_GAIN`."""
    if len(spans) == 1:
        return spans[0]
    form, asked = extract_form(), [flat(question)]

    scores: list[float] = []
    for text in (*(flat(passage[start:end]) for start, end in spans), form.null_text):
        prompt = fill_template(form.sentence, {"text": text}, "extract")
        scores.extend((yield from meter.score(prompt, asked)))
    best = max(range(len(spans)), key=lambda i: (scores[i], -i))
    gain = scores[best] - scores[-1]
    return spans[best] if gain >= LEAST_GAIN else None


def _best_phrase(
    meter: _Meter, passage: str, sentence: Offsets, question: str
) -> Generator[Ask, Any, Offsets]:
    """The phrase of the sentence that the question makes most likely."""
    found = phrases(passage, sentence)
    if not found:
        return sentence
    form, texts = extract_form(), [flat(passage[start:end]) for start, end in found]

    def scores(asked: str) -> Generator[Ask, Any, tuple[float, ...]]:
        places: Mapping[str, str] = {"text": flat(passage[slice(*sentence)]), "question": asked}
        return meter.score(form.shots + fill_template(form.words, places, "extract"), texts)

    with_question = yield from scores(flat(question))
    without = yield from scores(form.null_question)
    gains = [a - _UNASKED_WEIGHT * b for a, b in zip(with_question, without, strict=True)]
    return found[max(range(len(found)), key=lambda i: (gains[i], -i))]


def flat(text: str) -> str:
    """`text` on one line, words one space apart."""
    return " ".join(text.split())
