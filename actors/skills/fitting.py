"""Does a text fit a question? Choosing among distractors, in two prompt forms.

A model of this size is at chance when asked yes or no; which of several texts makes a question
likely it tells better. It errs towards texts of the right document, so a text must also share some
words with the question. Rule guarded here: the distractors are passages of the verifier's own
documents, so the worker cannot have prepared for them.
"""

from collections.abc import Sequence

from pockethive.actors.documents.index import DocumentIndex
from pockethive.actors.documents.passages import plain
from pockethive.actors.documents.query import analyse, query_stems, stems
from pockethive.actors.skills.likelihood import FORMS, Reader, in_place
from pockethive.core.canonical import digest

LEAST_SHARE = 0.3  # of the question's words; set on the development questions, like the next
STRONG_LEAD = 10.5  # nats ahead of the distractors; counts without shared words
DISTRACTORS = 2
NEUTRAL = "The committee met again in spring and put off its decision."
_DISTRACTOR_TEXT = 200  # characters


def fits(reader: Reader, texts: Sequence[str], distractors: Sequence[str]) -> list[bool]:
    """For each text, whether it is chosen before every distractor, both forms together."""

    def level(text: str) -> float:
        return sum(reader.gain(text, form) for form in FORMS)

    best = max(map(level, distractors))
    leads = [level(text) - best for text in texts]
    return [
        lead >= STRONG_LEAD or (lead > 0 and share(reader.question, text) >= LEAST_SHARE)
        for text, lead in zip(texts, leads, strict=True)
    ]


def share(question: str, text: str) -> float:
    """The share of a question's words and symbols that stand in a text, 0 to 1."""
    wanted = query_stems(analyse(question))
    return len(stems(text).intersection(wanted)) / len(wanted) if wanted else 0.0


def unrelated(index: DocumentIndex | None, question: str) -> list[str]:
    """Passages of a device that its search does not bring up: alike in kind, about other things.

    Picked by a hash of the question; a neutral sentence where there is nothing to pick from.
    """
    if index is None:
        return [NEUTRAL]
    hits = {hit.key for hit in index.search(question)}
    chosen = index.pick(digest("unrelated", question.encode()), DISTRACTORS, without=hits)
    texts = [in_place(x.title, x.heading, plain(x.text)[:_DISTRACTOR_TEXT]) for x in chosen]
    return texts or [NEUTRAL]
