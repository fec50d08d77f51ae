"""`synthesize`: write the answer.

Rule guarded here: an answer is a fixed frame filled with quotations, each numbered and cited. The
model writes none of it, so nothing in it can be invented.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work

NOT_FOUND = "Not found in these documents."
ALSO = "See also:"
LIST = "list"
CITED = 3  # quotations in an answer
SECTION_CITED = 2  # in each part of an answer to several questions
LIST_CITED = 8
MAX_SECTIONS = 8
_MARGIN = 12_000  # millinats; a candidate further behind the best is not worth reading

Candidates = Sequence[Mapping[str, Any]]


class Synthesize:
    """The synthesizer's skill. Params: `style` (`list` gives every candidate; others are alike).

    Inputs: outputs of `rank`. Those with the same question are joined; several questions make an
    answer in parts, each under its question.
    """

    name = "synthesize"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:  # noqa: ARG002 nothing of it is needed
        """Write the answer from ranked candidates."""
        return Product(value=answer(work))


def answer(work: Work) -> dict[str, Any]:
    """`{"answer", "found", "citations"}`; a pure function of the work, so anybody can check it."""
    sections = _sections(work.inputs)
    listed = work.params.get("style") == LIST
    most = LIST_CITED if listed else CITED if len(sections) == 1 else SECTION_CITED
    parts: list[str] = []
    citations: list[dict[str, Any]] = []
    for question, candidates in sections:
        cited = [
            _citation(len(citations) + place, finding)
            for place, finding in enumerate(_worth_citing(candidates, most), start=1)
        ]
        citations += cited
        text = _compose(cited, listed=listed)
        parts.append(text if len(sections) == 1 else f"{question}\n{text}")
    if not citations:
        return {"answer": NOT_FOUND, "found": False, "citations": []}
    return {"answer": "\n\n".join(parts), "found": True, "citations": citations}


def _sections(inputs: Mapping[str, Any]) -> list[tuple[str, Candidates]]:
    """Candidates by question, best first; equal scores keep the order of their input."""
    joined: dict[str, list[Mapping[str, Any]]] = {}
    for name in sorted(inputs):
        joined.setdefault(inputs[name]["question"], []).extend(inputs[name]["candidates"])
    ordered: list[tuple[str, Candidates]] = [
        (question, sorted(found, key=lambda item: -item["score"]))
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
