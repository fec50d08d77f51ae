"""Answers with a confidence: choose, label, extract, rank, fill, compress.

Built on what a model of `core/ports.py` can do, so that they run over a session or
a stand-in. Rule guarded here: an answer is put together from what was given (an option, words of
the passage, whole sentences), and says how sure it is by figures that were fitted, not felt.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pockethive.core.errors import BadInput
from pockethive.core.ports import ChoiceForm, Model, Sampling, Span
from pockethive.inference.answer_forms import AnswerForms, answer_forms
from pockethive.inference.forms import fill_template
from pockethive.inference.phrases import phrases
from pockethive.inference.primitives import MOST_SENTENCES, flat
from pockethive.inference.spans import sentences

MOST_FILLED_TOKENS = 160
_NAME = re.compile(r"(?<=\s)[A-Z]\w+|\b\d[\d.,]*\b")
_NAMED = 20.0  # nats
_LONG = 4  # words from which on an option can be read as a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`value`: an option's index, an order of indices, a text, or an object. `confidence`: 0 to 1.

    `evidence` is what the confidence was reckoned from; see answers.yaml.
    """

    value: Any
    confidence: float
    evidence: tuple[float, ...]


def choose(model: Model, question: str, options: Sequence[str], text: str = "") -> Answer:
    """The index of the option that answers `question`, about `text` if there is one.

    Forms summed, each minus its "N/A" prior. Of `text` only the sentence that makes the question
    likeliest is read: beside others of its kind a small model takes theirs. Without a text, options
    of several words are read the other way round, too. Raises BadInput, ContextOverflow.
    """
    told = answer_forms()
    places = {"question": flat(question)}
    if text:
        places["text"] = _telling(model, question, text)
    scores = _summed(model, told.choose_in if text else told.choose, places, options)
    if not text and all(len(option.split()) >= _LONG for option in options):
        asked = asked_by(model, question, options)
        scores = [a + b for a, b in zip(scores, asked, strict=True)]
    return _best("choose_in" if text else "choose", scores)


def label(model: Model, text: str, labels: Sequence[str]) -> Answer:
    """The index of the label that names what `text` is about. Raises BadInput, ContextOverflow."""
    forms = answer_forms().label
    return _best("label", _summed(model, forms, {"text": flat(text)}, labels))


def rank(model: Model, question: str, passages: Sequence[str]) -> Answer:
    """The order of the passages, the one that most likely answers first; confidence is the first's.

    A passage counts by what it makes of the question as a whole and by its best sentence.
    Raises BadInput, ContextOverflow.
    """
    whole = asked_by(model, question, passages)
    single = [_sentences_of(each) for each in passages]
    parts = iter(asked_by(model, question, [part for each in single for part in each]))
    best = [max((next(parts) for _ in each), default=0.0) for each in single]
    scores = [a + b for a, b in zip(whole, best, strict=True)]
    order = sorted(range(len(passages)), key=lambda i: (-scores[i], i))
    evidence = (_lead(scores),)
    return Answer(value=tuple(order), confidence=_sure("rank", evidence), evidence=evidence)


def extract(model: Model, passage: str, question: str) -> Answer:
    """The words of `passage` that answer `question`, a `Span`, or None when nothing is about it.

    The sentence that makes the question likeliest, then the phrase of it that `Model.extract`
    finds. Raises BadInput, ContextOverflow.
    """
    spans = sentences(passage)
    if len(spans) > MOST_SENTENCES:
        raise BadInput(f"{len(spans)} sentences, at most {MOST_SENTENCES} are read")
    gains = asked_by(model, question, [passage[slice(*span)] for span in spans]) if spans else []
    best = max(range(len(spans)), key=lambda i: (gains[i], -i), default=None)
    if best is None or gains[best] < answer_forms().sure["extract_least"][0]:
        return Answer(value=None, confidence=_sure("extract_none", ()), evidence=())
    start, end = spans[best]
    found = model.extract(passage[start:end], question)
    found = found or Span(passage[start:end], 0, end - start)
    evidence = (gains[best], found.lead)
    span = replace(found, start=start + found.start, end=start + found.end, gain=gains[best])
    return Answer(value=span, confidence=_sure("extract", evidence), evidence=evidence)


def fill(model: Model, text: str, fields: Sequence[str]) -> Answer:
    """An object with a phrase of `text` for each field; valid is not right: read its confidence.

    Raises BadInput without fields, ModelError, ContextOverflow.
    """
    if not fields:
        raise BadInput("no field to fill", cure="name one at least")
    form = answer_forms().fill
    places = {"text": flat(text), "fields": ", ".join(fields)}
    prompt = form.shots + fill_template(form.template, places, "fill")
    found = [text[slice(*each)] for span in sentences(text) for each in phrases(text, span)]
    if not found:
        raise BadInput("the text has no words to fill fields with")
    copied = {"type": "string", "enum": sorted(set(found))}
    schema = {
        "type": "object",
        "properties": dict.fromkeys(fields, copied),
        "required": list(fields),
        "additionalProperties": False,
    }
    made = model.constrain(prompt, schema, Sampling(max_tokens=MOST_FILLED_TOKENS))
    value: dict[str, str] = orjson.loads(made.text)
    score = model.score(prompt, [made.text])[0] / max(1, model.count(made.text))
    evidence = (score, float(len(value) - len(set(value.values()))))
    return Answer(value=value, confidence=_sure("fill", evidence), evidence=evidence)


def compress(model: Model, text: str, budget: int) -> Answer:
    """Whole sentences of `text`, in their order, in at most `budget` characters.

    What the model did not expect is kept: a sentence's surprise in nats, with nothing before it,
    and some more for each name and number. Raises BadInput for more than `MOST_SENTENCES`
    sentences, ContextOverflow.
    """
    spans = sentences(text)
    if len(spans) > MOST_SENTENCES:
        raise BadInput(f"{len(spans)} sentences, at most {MOST_SENTENCES} are read")
    texts = [flat(text[slice(*span)]) for span in spans]
    worth = [
        -model.score("Text:", [f" {each}"])[0] + _NAMED * len(_NAME.findall(each)) for each in texts
    ]
    kept, dropped, room = set[int](), list[float](), budget
    for number in sorted(range(len(texts)), key=lambda i: (-worth[i], i)):
        if len(texts[number]) <= room:
            kept.add(number)
            room -= len(texts[number]) + 1
        else:
            dropped.append(worth[number])
    least = min((worth[number] for number in kept), default=0.0)
    evidence = (least - max(dropped, default=0.0),)
    value = " ".join(texts[number] for number in sorted(kept))
    return Answer(value=value, confidence=_sure("compress", evidence), evidence=evidence)


def asked_by(model: Model, question: str, texts: Sequence[str]) -> list[float]:
    """Nats by which each text makes the question likelier than none does (query likelihood)."""
    form, asked = answer_forms().asked_by, [f" {flat(question)}\n"]

    def likelihood(text: str) -> float:
        prompt = form.shots + fill_template(form.template, {"text": flat(text)}, "asked_by")
        return model.score(prompt, asked)[0]

    nothing = likelihood(form.null)
    return [likelihood(text) - nothing for text in texts]


def confidence(weights: Sequence[float], evidence: Sequence[float]) -> float:
    """The logistic function of a weighed sum; the first weight stands alone (Platt 1999)."""
    if len(weights) != len(evidence) + 1:
        raise BadInput(f"{len(weights)} weights for {len(evidence)} pieces of evidence")
    total = weights[0] + sum(w * e for w, e in zip(weights[1:], evidence, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def _telling(model: Model, question: str, text: str) -> str:
    """The sentence of `text` that makes the question likeliest."""
    texts = _sentences_of(text)
    if len(texts) < 2:
        return flat(text)
    gains = asked_by(model, question, texts)
    return texts[max(range(len(texts)), key=lambda i: (gains[i], -i))]


def _sentences_of(text: str) -> list[str]:
    return [flat(text[slice(*span)]) for span in sentences(text)[:MOST_SENTENCES]]


def _summed(
    model: Model, forms: Sequence[ChoiceForm], places: Mapping[str, str], options: Sequence[str]
) -> list[float]:
    return list(model.choose(forms, dict(places), list(options)).scores)


def _best(name: str, scores: Sequence[float]) -> Answer:
    evidence = (_lead(scores),)
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return Answer(value=best, confidence=_sure(name, evidence), evidence=evidence)


def _lead(scores: Sequence[float]) -> float:
    """Nats between the best and the second."""
    first, second, *_ = [*sorted(scores, reverse=True), 0.0, 0.0]
    return first - second if len(scores) > 1 else 0.0


def _sure(name: str, evidence: Sequence[float]) -> float:
    told: AnswerForms = answer_forms()
    return confidence(told.sure[name], evidence)
