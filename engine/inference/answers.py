"""Answers with a confidence: choose, label, extract, rank, fill, compress.

Built on what a model of `core/ports.py` can do, so that they run over a session or
a stand-in. Rule guarded here: an answer is put together from what was given (an option, words of
the passage, whole sentences), and says how sure it is by figures that were fitted, not felt.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pockethive.core.errors import BadInput
from pockethive.core.ports import ChoiceForm, Model, Span
from pockethive.inference.answer_forms import AnswerForms, answer_forms
from pockethive.inference.forms import fill_places, fill_template
from pockethive.inference.phrases import phrases
from pockethive.inference.primitives import MOST_SENTENCES, flat
from pockethive.inference.spans import Offsets, sentences

_NAME = re.compile(r"(?<=\s)[A-Z]\w+|\b\d[\d.,]*\b")
_NAMED_WORD = re.compile(r"\b(?:[A-Z]\w+|\d\w*)\b")
_NAME_RUN = re.compile(r"(?!The )\b[A-Z]\w+(?: (?:of )?[A-Z]\w+)*")
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

    The sentence that makes the question likeliest, then the phrase of it that the question makes
    likeliest, with some nats for each of its words: likelihood alone prefers short ones. Raises
    BadInput, ContextOverflow.
    """
    return _extracted(model, passage, question, answer_forms().extract["least_gain"])


def _extracted(model: Model, passage: str, question: str, least: float) -> Answer:
    spans = sentences(passage)
    if len(spans) > MOST_SENTENCES:
        raise BadInput(f"{len(spans)} sentences, at most {MOST_SENTENCES} are read")
    gains = asked_by(model, question, [passage[slice(*span)] for span in spans]) if spans else []
    best = max(range(len(spans)), key=lambda i: (gains[i], -i), default=None)
    if best is None or gains[best] < least:
        return Answer(value=None, confidence=_sure("extract_none", ()), evidence=())
    (start, end), lead = _phrase(model, passage, spans[best], question)
    evidence = (gains[best], lead)
    span = Span(passage[start:end], start, end)
    return Answer(value=span, confidence=_sure("extract", evidence), evidence=evidence)


def fill(model: Model, text: str, fields: Mapping[str, str]) -> Answer:
    """An object with a phrase of `text` for each field; None only when `text` is empty.

    `fields` maps names to questions; an empty one is made of the name. A short question gains too
    little to tell that a field is not in the text. Raises BadInput without
    fields, ContextOverflow.
    """
    if not fields:
        raise BadInput("no field to fill", cure="name one at least")
    subject = _subject(text)
    form = answer_forms().fill["question_of" if subject else "question"]
    made: dict[str, Answer] = {}
    for name, asked in fields.items():
        named = fill_template(form, {"field": name, "subject": subject}, "fill")
        made[name] = _extracted(model, text, asked or named, -math.inf)
    value = {name: each.value.text if each.value else None for name, each in made.items()}
    least = min(each.confidence for each in made.values())
    evidence = (least, float(len(value) - len(set(value.values()))))
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


def _subject(text: str) -> str:
    """The name that `text` says most often, twice at least, the first among equals; or nothing."""
    counted = Counter(_NAME_RUN.findall(text)).most_common(1)
    return counted[0][0] if counted and counted[0][1] > 1 else ""


def _phrase(model: Model, passage: str, sentence: Offsets, question: str) -> tuple[Offsets, float]:
    """The phrase of the sentence that answers, and its lead in nats."""
    found = _unasked(passage, phrases(passage, sentence), question)
    if not found:
        return sentence, 0.0
    told = answer_forms()
    texts = [flat(passage[slice(*span)]) for span in found]
    places = {"text": flat(passage[slice(*sentence)]), "question": flat(question)}
    prompt = fill_places(told.choose_in[0], places)
    likely = model.score(prompt, [f" {text}\n" for text in texts])
    per_word = told.extract["per_word"]
    scores = [s + per_word * len(t.split()) for s, t in zip(likely, texts, strict=True)]
    return found[max(range(len(found)), key=lambda i: (scores[i], -i))], _lead(scores)


def _unasked(passage: str, found: Sequence[Offsets], question: str) -> Sequence[Offsets]:
    """The phrases without a name or number of the question, or all when none is left.

    Who asks about the Mill Bridge is not answered by its name.
    """
    named = {word for word in _NAMED_WORD.findall(question) if question.find(word) > 0}
    kept = [span for span in found if named.isdisjoint(_NAMED_WORD.findall(passage[slice(*span)]))]
    return kept or found


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
