"""`synthesize`: write the answer.

Rule guarded here: an answer is a fixed frame filled with quotations, each numbered and cited. The
model writes none of it, so nothing in it can be invented.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills.findings import Candidates, candidates_of, proven
from pockethive.core.ports import VerifySignature

NOT_FOUND = "Not found in these documents."
ALSO = "See also:"
LIST = "list"
CITED = 4  # quotations in an answer
SECTION_CITED = 3  # in each part of an answer to several questions
LIST_CITED = 8
MAX_SECTIONS = 8
_MARGIN = 12_000  # millinats; a candidate further behind the best is not worth reading


class Synthesize:
    """The synthesizer's skill. Params: `style` (`list` gives every candidate; others are alike).

    Inputs: outputs of `rank`. Those with the same question are joined; several questions make an
    answer in parts, each under its question.
    """

    name = "synthesize"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        """Write the answer from ranked candidates."""
        return Product(value=answer(work, tools.verify))


def answer(work: Work, verify: VerifySignature) -> dict[str, Any]:
    """`{"answer", "found", "citations", "confidence"}`; pure, so anybody can check it.

    `confidence`, in thousandths: that of the ranking; of the least sure part, where there are more.
    """
    sections = _sections(work.inputs, verify)
    listed = work.params.get("style") == LIST
    most = LIST_CITED if listed else CITED if len(sections) == 1 else SECTION_CITED
    parts: list[str] = []
    citations: list[dict[str, Any]] = []
    for question, candidates, _ in sections:
        cited = [
            _citation(len(citations) + place, finding)
            for place, finding in enumerate(_worth_citing(candidates, most), start=1)
        ]
        citations += cited
        text = _compose(cited, listed=listed)
        parts.append(text if len(sections) == 1 else f"{question}\n{text}")
    if not citations:
        return {"answer": NOT_FOUND, "found": False, "citations": [], "confidence": 0}
    return {
        "answer": "\n\n".join(parts),
        "found": True,
        "citations": citations,
        "confidence": min(sure for _, _, sure in sections),
    }


def _sections(
    inputs: Mapping[str, Any], verify: VerifySignature
) -> list[tuple[str, Candidates, int]]:
    """Candidates by question, best first, and how sure; equal scores keep their inputs' order."""
    joined: dict[str, list[Mapping[str, Any]]] = {}
    sure: dict[str, int] = {}
    for _, value in sorted(inputs.items()):
        candidates = candidates_of(value)
        if candidates is None:
            continue
        question = value["question"]
        known = joined.setdefault(question, [])
        for each in proven(candidates, verify):
            if each not in known:
                known.append(each)
        sure[question] = max(sure.get(question, 0), value["confidence"])
    ordered: list[tuple[str, Candidates, int]] = [
        (question, sorted(found, key=lambda item: -item["score"]), sure[question])
        for question, found in joined.items()
    ]
    return ordered[:MAX_SECTIONS]


def _worth_citing(candidates: Candidates, most: int) -> list[Mapping[str, Any]]:
    if not candidates:
        return []
    least = candidates[0]["score"] - _MARGIN
    return [item["finding"] for item in candidates[:most] if item["score"] >= least]


def _compose(citations: Sequence[Mapping[str, Any]], *, listed: bool) -> str:
    """The best quotation first, others below."""
    lines = [f"{plain(item['quote'])} [{item['number']}]" for item in citations]
    if not lines:
        return NOT_FOUND
    if listed:
        return "\n".join(f"- {line}" for line in lines)
    also = [ALSO, *(f"- {line}" for line in lines[1:])] if lines[1:] else []
    return "\n".join([lines[0], *also])


def _citation(number: int, finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "device": finding["device"],
        "number": number,
        "passage": finding["passage"],
        "quote": finding["quote"],
        "source": finding["source"],
    }
