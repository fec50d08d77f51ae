"""`rank`: put the findings of all devices in one order.

The reasoner reads every candidate again with its own model, in another prompt form than the
researchers used, so that neither a device's praise of its own finding nor one form's habits decide
alone. By Bayes' rule log P(question | text) - log P(question) is log P(text | question)
- log P(text), the text's likelihood as an option, calibrated; it costs a fifth of the tokens.
Rule guarded here: the order is a function of findings and model; ties fall by source and text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills.research import heading
from pockethive.core.errors import SkillFailure
from pockethive.core.ports import Model

READ = 6  # candidates the reasoner's model reads
KEPT = 4  # candidates that go on, unless told otherwise
MOST_KEPT = 16
LEAST_SCORE = 0  # millinats
SHOTS = (
    "Each text answers the question below it.\n\n"
    "Text: Opening hours. The library is open from nine to six on weekdays.\n"
    "Question: When can I visit the library?\n\n"
    "Text: Bicycles / Tyres. Pump the tyres up to four bar before a long ride.\n"
    "Question: how much air do my bike tyres need\n\n"
)


class Rank:
    """The reasoner's skill. Params: `question`, `keep` (default 4). Inputs: outputs of `search`."""

    name = "rank"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Order the findings of all devices."""
        if tools.model is None:
            raise SkillFailure("ranking needs a model", where=work.name)
        ranked, tokens = rank_work(work, tools.model)
        return Product(value={"candidates": ranked}, prompt_tokens=tokens)


def rank_work(work: Work, model: Model) -> tuple[list[dict[str, Any]], int]:
    """What `work` asks for: `{"finding", "score"}`, best first, and the tokens the model read."""
    keep = min(int(work.params.get("keep", KEPT)), MOST_KEPT)
    findings = gather(work.inputs)[: max(READ, keep)]
    ranked, tokens = rank(str(work.params["question"]), findings, model)
    return ranked[:keep], tokens


def gather(inputs: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Findings of all inputs, best claim first, one per text: the smallest document's.

    A text that stands in several documents is cited from the one that is most about it.
    """
    every = [finding for name in sorted(inputs) for finding in inputs[name]["findings"]]
    every.sort(key=lambda item: (item["size"], item["source"], item["device"], item["start"]))
    best: dict[str, Mapping[str, Any]] = {}
    for finding in every:
        best.setdefault(plain(finding["quote"]), finding)
    return tuple(sorted(best.values(), key=_claim))


def rank(
    question: str, findings: Sequence[Mapping[str, Any]], model: Model
) -> tuple[list[dict[str, Any]], int]:
    """`{"finding", "score"}` in millinats, best first, and the tokens the model read."""
    if not findings:
        return [], 0
    null, tokens = fitness(model, question, "N/A")
    scored = []
    for finding in findings:
        text, asked = fitness(model, question, in_context(finding))
        tokens += asked
        score = round((text - null) * 1000) + finding["score"]
        scored.append({"finding": dict(finding), "score": score})
    scored.sort(key=lambda item: (-item["score"], _claim(item["finding"])))
    return [item for item in scored if item["score"] >= LEAST_SCORE], tokens


def fitness(model: Model, question: str, text: str) -> tuple[float, int]:
    """Natural-log probability of the question after a text, in the reasoner's form, and tokens."""
    prompt = f"{SHOTS}Text: {text}\nQuestion:"
    option = f" {' '.join(question.split())}\n"
    return model.score(prompt, [option])[0], model.count(prompt + option)


def in_context(finding: Mapping[str, Any]) -> str:
    """A finding as the model reads it."""
    passage = finding["passage"]
    return f"{heading(passage['title'], passage['heading'])}. {plain(finding['quote'])}"


def _claim(finding: Mapping[str, Any]) -> tuple[int, str, str]:
    return -finding["score"], finding["source"], finding["quote"]
