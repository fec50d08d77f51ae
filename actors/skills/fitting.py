"""Does a text fit a question? Choosing among distractors, in two prompt forms.

A model of this size is at chance when asked yes or no; which of several texts makes a question
likely it tells well. Rule guarded here: the distractors are the verifier's own, so the worker
cannot have prepared for them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pockethive.actors.documents.index import DocumentIndex
from pockethive.actors.documents.query import analyse, query_stems
from pockethive.actors.skill import Tools
from pockethive.actors.skills.rank import fitness, in_context
from pockethive.actors.skills.research import best_window, context, heading, likelihood
from pockethive.core.ports import Model

Form = Callable[[Model, str, str], tuple[float, int]]
"""`(model, question, text) -> log-probability of the question after the text, tokens read`."""

FORMS: tuple[Form, ...] = (likelihood, fitness)
NEUTRAL = (
    "See the other sections for more about this.",
    "The committee met again in spring and put off its decision.",
)
MARGIN = 0.0  # nats by which a finding has to be ahead of every distractor, both forms together


def fits(question: str, findings: Sequence[Mapping[str, Any]], tools: Tools) -> list[bool]:
    """For each finding, whether it is ahead of every distractor, both forms together.

    Distractors: a neutral sentence under the finding's own heading (is it the quotation that
    fits, or only its heading?), another under none, and the weakest of this device's own hits.
    """
    assert tools.model is not None
    cache: dict[str, float] = {}

    def level(text: str) -> float:
        if text not in cache:
            assert tools.model is not None
            cache[text] = sum(form(tools.model, question, text)[0] for form in FORMS)
        return cache[text]

    own = own_distractors(question, tools.documents)
    verdicts = []
    for finding in findings:
        passage = finding["passage"]
        above = heading(passage["title"], passage["heading"])
        text = in_context(finding)
        others = [f"{above}. {NEUTRAL[0]}", NEUTRAL[1], *(item for item in own if item != text)]
        verdicts.append(all(level(text) > level(other) + MARGIN for other in others))
    return verdicts


def own_distractors(question: str, documents: DocumentIndex | None) -> list[str]:
    """The weakest of this device's own hits: it shares words with the question, and little else."""
    if documents is None:
        return []
    hits = documents.search(question)
    wanted = query_stems(analyse(question))
    return [context(best_window(hit, wanted)) for hit in hits[-1:]]
