"""`synthesize`: write the answer.

Rule guarded here: an answer is a fixed frame filled with quotations, each numbered and cited. The
model writes none of it, so nothing in it can be invented.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work

NOT_FOUND = "Not found in these documents."
CITED = 3
ALSO = "See also:"
_MARGIN = 6_000  # millinats; a candidate further behind the best is not worth reading


class Synthesize:
    """The synthesizer's skill. Inputs: outputs of `rank`."""

    name = "synthesize"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:  # noqa: ARG002 nothing of it is needed
        """Write the answer from ranked candidates."""
        return Product(value=answer(candidates_of(work.inputs)))


def candidates_of(inputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Ranked candidates of all inputs, best first."""
    every = [item for name in sorted(inputs) for item in inputs[name]["candidates"]]
    return sorted(every, key=lambda item: -item["score"])  # stable: equal scores keep their order


def answer(candidates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`{"answer", "found", "citations"}` of ranked candidates."""
    if not candidates:
        return {"answer": NOT_FOUND, "found": False, "citations": []}
    least = candidates[0]["score"] - _MARGIN
    cited = [item["finding"] for item in candidates[:CITED] if item["score"] >= least]
    citations = [_citation(number, item) for number, item in enumerate(cited, start=1)]
    return {"answer": compose(citations), "found": True, "citations": citations}


def compose(citations: Sequence[Mapping[str, Any]]) -> str:
    """The text of an answer: the best quotation first, others below. Pure template."""
    lines = [f"{plain(item['quote'])} [{item['number']}]" for item in citations]
    return "\n".join(
        [lines[0], *([ALSO] if lines[1:] else []), *(f"- {line}" for line in lines[1:])]
    )


def _citation(number: int, finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "device": finding["device"],
        "number": number,
        "passage": finding["passage"],
        "quote": finding["quote"],
        "source": finding["source"],
    }
