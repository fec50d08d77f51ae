"""Answers with a confidence: choose, label, extract, rank, fill, compress.

Each is work for a batcher over a `Scorer`; `primitives.py` gives them to whoever holds a model.
Rule guarded here: an answer is put together from what was given (an option, words of the passage,
whole sentences), and says how sure it is by figures that were fitted, not felt.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.core.errors import BadInput
from pockethive.core.forms import fill_places, fill_template
from pockethive.core.ports import Answer, ChoiceForm, Span
from pockethive.inference.answer_forms import answer_forms
from pockethive.inference.clues import subject, titled
from pockethive.inference.condensing import condensed, outlook
from pockethive.inference.finding import (
    Found,
    Phrase,
    asked_by,
    best_kind,
    flat,
    found_in,
    read_sentences,
    sentence_clues,
    split,
)
from pockethive.inference.scoring import Scorer, Work
from pockethive.inference.weighing import Clues, first, log_odds, logistic, shares

_LONG = 4  # words from which on an option can be read as a text


def choose(model: Scorer, question: str, options: Sequence[str], text: str = "") -> Work[Answer]:
    """The index of the option that answers `question`, about `text` if there is one.

    Options of several words are weighed by what each makes of the question, or of the title in it,
    by their likelihood as its answer and by their kind; short ones by their likelihood alone. About
    a text: by whether the sentences that the question fits say them. Raises BadInput without
    options, ContextOverflow.
    """
    _some(options)
    name, clues = yield from option_clues(model, flat(question), options, text)
    return _weighed(name, shares(answer_forms().weights[name], clues))


def option_clues(
    model: Scorer, question: str, options: Sequence[str], text: str
) -> Work[tuple[str, list[Clues]]]:
    """What speaks for each option, and the name of the weights for it."""
    if text:
        return "said", (yield from _said(model, question, options, text))
    told, places = answer_forms(), {"question": question}
    short = any(len(option.split()) < _LONG for option in options)
    if short and re.search(r"\d", question):
        likely = yield from model.score(*_asked(told.choose_number, places, options))
        return "number_option", [{"asked": nats} for nats in likely]
    made = yield from _contrast(model, told.choose, places, options)
    clues: list[Clues] = [{"asked": nats} for nats in made]
    if short:
        return "short_option", clues
    if title := titled(question):
        fits = yield from asked_by(model, title, options, told.titled)
        return "title_option", [
            {**clue, "title": nats} for clue, nats in zip(clues, fits, strict=True)
        ]
    gains = yield from asked_by(model, question, options)
    return "option", [
        {**clue, "gain": gain, "kind": best_kind(option, (0, len(option)), question)}
        for clue, gain, option in zip(clues, gains, options, strict=True)
    ]


def label(model: Scorer, text: str, labels: Sequence[str]) -> Work[Answer]:
    """The index of the label that names what `text` is about. Raises BadInput, ContextOverflow."""
    _some(labels)
    scores = [0.0] * len(labels)
    for form in answer_forms().label:
        made = yield from _contrast(model, form, {"text": flat(text)}, labels)
        scores = [a + b for a, b in zip(scores, made, strict=True)]
    return _answer(first(scores), "label", _lead(scores))


def rank(model: Scorer, question: str, passages: Sequence[str]) -> Work[Answer]:
    """The order of the passages, the one that most likely answers first; confidence is the first's.

    A passage counts by what it makes of the question as a whole and by its best sentence; `scores`
    are these, in nats. Raises BadInput, ContextOverflow.
    """
    _some(passages)
    single = [split(each) for each in passages]
    texts = [*passages, *(part for each in single for part in each)]
    gains = iter((yield from asked_by(model, question, texts)))
    whole = [next(gains) for _ in passages]
    best = [max((next(gains) for _ in each), default=0.0) for each in single]
    scores = tuple(a + b for a, b in zip(whole, best, strict=True))
    order = tuple(sorted(range(len(passages)), key=lambda i: (-scores[i], i)))
    return _answer(order, "rank", _lead(scores), scores=scores)


def extract(model: Scorer, passage: str, question: str) -> Work[Answer]:
    """The words of `passage` that answer `question`, a `Span`, or None when nothing does.

    Phrases of the sentences that the question fits best are weighed together, beside "nothing
    there". Raises BadInput, ContextOverflow.
    """
    found = yield from found_in(model, passage, flat(question))
    if not found.phrases or found.none >= found.phrases[0][0]:
        return _answer(None, "extract_none", log_odds(found.none))
    share, span, _ = found.phrases[0]
    value = Span(passage[slice(*span)], *span)
    return _answer(value, "extract", log_odds(share))


def fill(model: Scorer, text: str, fields: Mapping[str, str]) -> Work[Answer]:
    """An object with a phrase of `text` for each field; None only when there is none left.

    `fields` maps names to questions; an empty one is made of the name. No two fields are filled
    from one sentence while there are others. Raises BadInput without fields, ContextOverflow.
    """
    if not fields:
        raise BadInput("no field to fill", cure="name one at least")
    about = subject(text)
    form = answer_forms().fill["question_of" if about else "question"]
    found: dict[str, Found] = {}
    for name, asked in fields.items():
        named = fill_template(form, {"field": name, "subject": about}, "fill")
        found[name] = yield from found_in(model, text, flat(asked or named))
    value: dict[str, str | None] = dict.fromkeys(fields)
    sure, taken, left = list[float](), set[int](), list(fields)
    while left:
        open_ = {name: _open(found[name], taken) for name in left}
        name = max(left, key=lambda each: open_[each][0])
        share, span, sentence = open_[name]
        value[name] = flat(text[slice(*span)]) or None
        sure.append(log_odds(share))
        taken.add(sentence)
        left.remove(name)
    return _answer(value, "fill", min(sure), sum(sure) / len(sure))


def compress(model: Scorer, text: str, budget: int) -> Work[Answer]:
    """Whole sentences of `text`, in their order, in at most `budget` characters.

    Those are kept that say something new and surprise the model, see condensing.py. Raises BadInput
    for more than `MOST_SENTENCES` sentences, ContextOverflow.
    """
    texts = [flat(text[slice(*span)]) for span in read_sentences(text)]
    surprises = [0.0] * len(texts)
    for number, each in enumerate(texts):
        surprises[number] = -(yield from model.score("Text:", [f" {each}"]))[0]
    kept, worth, left = condensed(texts, surprises, budget, answer_forms().compress)
    value = " ".join(texts[number] for number in kept)
    return _answer(value, "compress", *outlook(worth, left))


def _said(model: Scorer, question: str, options: Sequence[str], text: str) -> Work[list[Clues]]:
    """Of each option: the share of the sentences that say it, and nats as the best one's answer."""
    spans, told = read_sentences(text), answer_forms()
    clues = yield from sentence_clues(model, text, spans, question)
    fit = shares(told.weights["sentence"], clues)
    texts = [flat(text[slice(*span)]) for span in spans]
    places = {"question": question, "text": texts[first(fit)] if texts else ""}
    likely = yield from _contrast(model, told.choose_in, places, options)
    return [
        {"said": sum(s for s, t in zip(fit, texts, strict=True) if says(t, option)), "asked": nats}
        for option, nats in zip(options, likely, strict=True)
    ]


def says(text: str, option: str) -> bool:
    """Whether a text has an option's words as they are."""
    return re.search(rf"(?<!\w){re.escape(flat(option))}(?!\w)", text) is not None


def _contrast(
    model: Scorer, form: ChoiceForm, places: Mapping[str, str], options: Sequence[str]
) -> Work[list[float]]:
    """Nats of each option, minus those with every place empty (Zhao et al. 2021)."""
    asked = yield from model.score(*_asked(form, places, options))
    nothing = dict.fromkeys(places, form.null)
    prior = yield from model.score(*_asked(form, nothing, options))
    return [a - p for a, p in zip(asked, prior, strict=True)]


def _asked(
    form: ChoiceForm, places: Mapping[str, str], options: Sequence[str]
) -> tuple[str, list[str]]:
    """The prompt and the options as they stand after it."""
    return fill_places(form, places), [f"{form.lead}{option}{form.end}" for option in options]


def _open(found: Found, taken: set[int]) -> Phrase:
    """The best phrase of a sentence that is not taken, or of any when all are."""
    free = [each for each in found.phrases if each[2] not in taken]
    return next(iter(free or found.phrases), (0.0, (0, 0), -1))


def _some(options: Sequence[str]) -> None:
    if not options:
        raise BadInput("nothing to choose from", cure="give an option at least")


def _weighed(name: str, given: Sequence[float]) -> Answer:
    best = first(given)
    return _answer(best, name, log_odds(given[best]), scores=tuple(map(log_odds, given)))


def _answer(value: Any, name: str, *evidence: float, scores: tuple[float, ...] = ()) -> Answer:
    weights = answer_forms().sure[name]
    return Answer(
        value=value, confidence=confidence(weights, evidence), evidence=evidence, scores=scores
    )


def confidence(weights: Sequence[float], evidence: Sequence[float]) -> float:
    """The logistic function of a weighed sum; the first weight stands alone (Platt 1999)."""
    if len(weights) != len(evidence) + 1:
        raise BadInput(f"{len(weights)} weights for {len(evidence)} pieces of evidence")
    return logistic(weights[0] + sum(w * e for w, e in zip(weights[1:], evidence, strict=True)))


def _lead(scores: Sequence[float]) -> float:
    """Nats between the best and the second."""
    one, two, *_ = [*sorted(scores, reverse=True), 0.0, 0.0]
    return one - two if len(scores) > 1 else 0.0
