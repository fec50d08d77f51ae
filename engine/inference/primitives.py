"""What a small model does well, built on scoring.

Accuracy of the default model is measured by `make eval`; docs in each function say how it is asked.
"""

from collections.abc import Sequence

from pockethive.core.ports import ChoiceForm, Model, Ranking, Span
from pockethive.inference.forms import fill_places
from pockethive.inference.spans import sentences


def choose(
    model: Model, forms: Sequence[ChoiceForm], places: dict[str, str], options: Sequence[str]
) -> Ranking:
    """Calibrated log-likelihood of each option, summed over `forms`."""
    totals = [0.0] * len(options)
    tokens = 0
    for form in forms:
        texts = [f"{form.lead}{option}{form.end}" for option in options]
        asked_prompt = fill_places(form, places)
        asked = model.score(asked_prompt, texts)
        prior = model.score(fill_places(form, dict.fromkeys(places, form.null)), texts)
        tokens += model.count(asked_prompt)
        totals = [t + a - p for t, a, p in zip(totals, asked, prior, strict=True)]
    return Ranking(tuple(totals), tokens)


def extract(model: Model, passage: str, question: str) -> Span | None:
    """The sentence of `passage` that makes `question` most likely (placeholder ranking)."""
    spans = sentences(passage)
    if not spans:
        return None
    gains = []
    for start, end in spans:
        asked = model.score(f"Text: {passage[start:end]}\nQuestion:", [f" {question}\n"])[0]
        gains.append(asked)
    best = max(range(len(spans)), key=lambda i: gains[i])
    start, end = spans[best]
    return Span(passage[start:end], start, end)
