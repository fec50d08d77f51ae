"""Which sentences a question fits, and which phrases in them may answer it.

Guards: a sentence counts for what it says beyond whom it names; that nothing answers is a candidate
like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pockethive.core.errors import BadInput
from pockethive.core.forms import fill_places
from pockethive.inference.answer_forms import TextForm, answer_forms
from pockethive.inference.clues import (
    Kind,
    asked_share,
    is_cut,
    kind_fits,
    name_share,
    named_text,
    unasked,
    wanted,
    word_share,
)
from pockethive.inference.phrases import phrases
from pockethive.inference.scoring import Scorer, Work
from pockethive.inference.spans import Offsets, sentences
from pockethive.inference.weighing import Clues, shares

MOST_SENTENCES = 64
"""Sentences of a passage that are read; more make it slow, so the caller must split."""

_READ = 2  # sentences whose phrases are read: those that the question fits best
_WORDS = 6  # of a phrase that count for its length
_NONE: Clues = {"none": 1.0}

Phrase = tuple[float, Offsets, int]
"""Its share, its place in the passage, the number of its sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    """Phrases that may answer, the likeliest first, and the share of there being no answer."""

    none: float
    phrases: tuple[Phrase, ...]


def flat(text: str) -> str:
    """`text` on one line, words one space apart."""
    return " ".join(text.split())


def split(text: str) -> list[str]:
    """The sentences of a text, each on one line, `MOST_SENTENCES` at most."""
    return [flat(text[slice(*span)]) for span in sentences(text)[:MOST_SENTENCES]]


def read_sentences(text: str) -> tuple[Offsets, ...]:
    """The sentences of a text. Raises BadInput for more than `MOST_SENTENCES`."""
    spans = sentences(text)
    if len(spans) > MOST_SENTENCES:
        raise BadInput(
            f"{len(spans)} sentences, at most {MOST_SENTENCES} are read",
            cure="split the text into passages",
        )
    return spans


def asked_by(
    model: Scorer, question: str, texts: Sequence[str], form: TextForm | None = None
) -> Work[list[float]]:
    """Nats by which each text makes the question likelier than none does (query likelihood).

    `form`: how it is asked, as a question unless told otherwise.
    """
    form = form or answer_forms().asked_by
    before, after = form.template.split(" {text}")
    made = yield from model.tails(
        form.shots + before,
        [f" {flat(text)}{after}" for text in (*texts, form.null)],
        f" {flat(question)}\n",
    )
    return [each - made[-1] for each in made[:-1]]


def sentence_clues(
    model: Scorer, passage: str, spans: Sequence[Offsets], question: str
) -> Work[list[dict[str, float]]]:
    """What speaks for each sentence.

    `gain`: nats beyond what the name in the question alone makes of it, or, where it names nothing,
    beyond a fixed number and the middle sentence; `words` and `names`: shares of the question's;
    `kind`: whether a phrase looks like what is wanted.
    """
    texts = [passage[slice(*span)] for span in spans]
    named = named_text(question)
    gains = yield from asked_by(model, question, [*texts, named] if named else texts)
    unnamed = max(answer_forms().extract["unnamed"], median(gains or [0.0]))
    least = gains.pop() if named else unnamed
    return [
        {
            "gain": gain - least,
            "words": word_share(question, text),
            "names": name_share(question, text) - 1,
            "kind": best_kind(passage, span, question),
        }
        for gain, text, span in zip(gains, texts, spans, strict=True)
    ]


def best_kind(passage: str, span: Offsets, question: str) -> float:
    """Whether any phrase of a sentence looks like what the question wants, see `kind_fits`."""
    kind = wanted(question)
    if kind is Kind.UNKNOWN:
        return 0.0
    found = unasked(passage, phrases(passage, span), question)
    return max((kind_fits(kind, passage, each) for each in found), default=-1.0)


def found_in(model: Scorer, passage: str, question: str) -> Work[Found]:
    """The phrases of `passage` that may answer `question`, with their shares.

    Raises BadInput for too many sentences, ContextOverflow.
    """
    places, clues = yield from candidates(model, passage, question)
    given = shares(answer_forms().weights["phrase"], [_NONE, *clues])
    together: dict[str, float] = {}  # said twice in the same words is one answer
    for (span, _), share in zip(places, given[1:], strict=True):
        text = flat(passage[slice(*span)])
        together[text] = together.get(text, 0.0) + share
    found: dict[str, Phrase] = {}
    for _, (span, number) in sorted(zip(given[1:], places, strict=True), key=lambda each: -each[0]):
        text = flat(passage[slice(*span)])
        found.setdefault(text, (together[text], span, number))
    return Found(given[0], tuple(sorted(found.values(), key=lambda each: -each[0])))


def candidates(
    model: Scorer, passage: str, question: str
) -> Work[tuple[list[tuple[Offsets, int]], list[Clues]]]:
    """Phrases as places and sentence numbers, and what speaks for each.

    Besides the clues of its sentence: `likely`: nats of it as the answer; `length`: words; `kind`:
    whether it looks like what is wanted; `asked`: the share of its words that the question
    has, too; `cut`: a number without what it counts.
    """
    spans = read_sentences(passage)
    if not spans or not question:
        return [], []
    found = yield from sentence_clues(model, passage, spans, question)
    fit = shares(answer_forms().weights["sentence"], found)
    best = sorted(range(len(spans)), key=lambda i: (-fit[i], i))[:_READ]
    places: list[tuple[Offsets, int]] = []
    clues: list[Clues] = []
    for number in best:
        mine = unasked(passage, phrases(passage, spans[number]), question) or [spans[number]]
        likely = yield from _likely(model, passage, spans[number], question, mine)
        for span, nats in zip(mine, likely, strict=True):
            places.append((span, number))
            about = {name: found[number][name] for name in ("gain", "words")}
            clues.append({**about, **_phrase_clues(passage, span, question), "likely": nats})
    return places, clues


def _phrase_clues(passage: str, span: Offsets, question: str) -> dict[str, float]:
    text = passage[slice(*span)]
    return {
        "length": float(min(len(text.split()), _WORDS)),
        "kind": kind_fits(wanted(question), passage, span),
        "asked": asked_share(question, text),
        "cut": is_cut(passage, span),
    }


def _likely(
    model: Scorer, passage: str, sentence: Offsets, question: str, found: Sequence[Offsets]
) -> Work[tuple[float, ...]]:
    form = answer_forms().choose_in
    places = {"text": flat(passage[slice(*sentence)]), "question": question}
    texts = [f"{form.lead}{flat(passage[slice(*span)])}{form.end}" for span in found]
    return (yield from model.score(fill_places(form, places), texts))
