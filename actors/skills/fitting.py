"""Does a text fit a question? Choosing among distractors, in two prompt forms.

A model of this size is at chance when asked yes or no; which of several texts makes a question
likely it tells well. Rule guarded here: some distractors are the verifier's own, so the worker
cannot have prepared for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.skills.likelihood import FORMS, Reader, in_place
from pockethive.actors.skills.rank import in_context
from pockethive.core.ports import Model

NEUTRAL = (
    "See the other sections for more about this.",
    "The committee met again in spring and put off its decision.",
)


def fits(
    question: str, findings: Sequence[Mapping[str, Any]], model: Model, own: Sequence[str] = ()
) -> list[float]:
    """For each finding, nats by which it is ahead of the best distractor, both forms together.

    Distractors: a neutral sentence under the finding's own heading (is it the quotation that
    fits, or only where it stood?), one under none, and texts of the verifier's `own`.
    """
    reader = Reader(model, question)
    levels: dict[str, float] = {}

    def level(text: str) -> float:
        if text not in levels:
            levels[text] = sum(reader.gain(text, form) for form in FORMS)
        return levels[text]

    ahead = []
    for finding in findings:
        passage = finding["passage"]
        empty = in_place(passage["title"], passage["heading"], NEUTRAL[0])
        others = [empty, NEUTRAL[1], *(text for text in own if text != in_context(finding))]
        ahead.append(level(in_context(finding)) - max(map(level, others)))
    return ahead
