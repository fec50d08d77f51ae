"""`rank`: put the findings of all devices in one order.

The researchers' scores only say which findings are read; the order, and how sure it is, come from
the reasoner's own model, so that a device that praises its own finding gains nothing by it. It
reads findings as researchers and verifiers do (likelihood.py), so what a device has searched or
judged before is at hand and not read again. Rule guarded here: the order is a function of findings
and model; ties fall by source and text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work, model_for
from pockethive.actors.skills.findings import MOST_KEPT, standing
from pockethive.actors.skills.likelihood import Reader, in_place
from pockethive.actors.skills.windows import core
from pockethive.core.ports import Model, VerifySignature
from pockethive.inference.answer_forms import answer_forms
from pockethive.inference.answers import confidence

READ = 6  # candidates the reasoner's model reads
KEPT = 4  # candidates that go on, unless told otherwise
LEAST_SCORE = 0  # millinats


class Rank:
    """The reasoner's skill. Params: `question`, `keep` (default 4). Inputs: outputs of `search`."""

    name = "rank"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Order the findings of all devices."""
        model = model_for("ranking", work, tools)
        ranked = rank_work(work, gather(work.inputs, tools.verify), model)
        value = {
            "candidates": ranked.candidates,
            "confidence": ranked.confidence,
            "question": str(work.params["question"]),
        }
        return Product(value=value, prompt_tokens=ranked.tokens)


@dataclass(frozen=True, slots=True)
class Ranked:
    """`candidates`: `{"finding", "score"}`, best first, in millinats.

    `confidence`: that the first is the right one, in thousandths; 0 where there is none. `tokens`:
    those that the model read.
    """

    candidates: list[dict[str, Any]]
    confidence: int
    tokens: int


def rank_work(work: Work, findings: Sequence[Mapping[str, Any]], model: Model) -> Ranked:
    """What `work` asks for, of findings that `gather` made of its inputs."""
    keep = min(int(work.params.get("keep", KEPT)), MOST_KEPT)
    ranked = rank(str(work.params["question"]), findings[: max(READ, keep)], model)
    return replace(ranked, candidates=ranked.candidates[:keep])


def gather(inputs: Mapping[str, Any], verify: VerifySignature) -> tuple[Mapping[str, Any], ...]:
    """Findings of all inputs, one per text: each device's best claim first, then by claim.

    What does not stand in its source is left out. A text that stands in several documents is cited
    from the smallest, which is most about it. A device that praises itself can crowd out others'
    second findings, never their best.
    """
    every = [finding for name in sorted(inputs) for finding in standing(inputs[name], verify)]
    every.sort(key=lambda item: (item["size"], item["source"], item["device"], item["start"]))
    texts: dict[str, Mapping[str, Any]] = {}
    for finding in every:
        texts.setdefault(plain(finding["quote"]), finding)
    claims = sorted(texts.values(), key=_claim)
    best = {finding["device"]: finding for finding in reversed(claims)}
    return tuple(sorted(claims, key=lambda item: (best[item["device"]] is not item, *_claim(item))))


def rank(question: str, findings: Sequence[Mapping[str, Any]], model: Model) -> Ranked:
    """The findings by how likely each makes the question, without those that speak against it."""
    if not findings:
        return Ranked([], 0, 0)
    reader = Reader(model, question)
    ranked: list[dict[str, Any]] = [
        {"finding": dict(item), "score": round(1000 * reader.gain(in_context(item, question)))}
        for item in findings
    ]
    ranked.sort(key=lambda item: (-item["score"], _claim(item["finding"])))
    kept = [item for item in ranked if item["score"] >= LEAST_SCORE]
    sure = confidence(answer_forms().sure["finding"], [lead([item["score"] for item in kept])])
    return Ranked(kept, round(1000 * sure) if kept else 0, reader.tokens)


def lead(scores: Sequence[int]) -> float:
    """Nats by which the first of ranked findings is ahead of the next, or of no text at all."""
    best, second, *_ = [*scores, 0, 0]
    return (best - second) / 1000


def in_context(finding: Mapping[str, Any], question: str) -> str:
    """A finding as the model reads it."""
    passage = finding["passage"]
    return in_place(passage["title"], passage["heading"], core(finding["quote"], question))


def _claim(finding: Mapping[str, Any]) -> tuple[int, str, str]:
    return -finding["score"], finding["source"], finding["quote"]
