"""What nearness in meaning finds that words alone do not: python -m bench.retrieval.

All documents of the language reference in one index; for every question the passages that the skill
`search` would read first, by BM25, by words as the skill orders them, by nearness alone (among
BM25's first) and by words and nearness fused. Counted: whether the first, or one of the first five,
is of a right source, and whether it holds the answer's key phrase. Needs `pockethive models get
all-minilm-l6-v2`. Not one constant was set on these questions.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.research import QUESTIONS, index_of, seated
from bench.texts import level
from pockethive.actors.documents.index import Hit
from pockethive.actors.documents.nearness import Nearness
from pockethive.actors.skills.research import PROPOSED, Candidate, proposed, whole
from pockethive.configs.home import default_home
from pockethive.inference.embedding import find_embedder

SETS = ("language_reference", "language_reference_fresh", "language_reference_dev")
AT = (1, 5)


def orders(question: str, hits: Sequence[Hit], nearness: Nearness) -> dict[str, list[Hit]]:
    """The hits in each order."""
    near = nearness.order(question, [whole(hit.passage) for hit in hits])
    assert near is not None, "pockethive models get all-minilm-l6-v2"
    return {
        "bm25": list(hits),
        "words": _hits(proposed(question, hits, None)),
        "near": [hits[place] for place in near],
        "fused": _hits(proposed(question, hits, nearness)),
    }


def _hits(candidates: Sequence[Candidate]) -> list[Hit]:
    return [candidate.hit for candidate in candidates]


def found(hits: Sequence[Hit], item: dict[str, Any]) -> list[bool]:
    """Right source and key phrase, each among the first one and the first five."""
    right = [hit.source in item["sources"] for hit in hits]
    said = [any(level(p) in level(hit.passage.text) for p in item["phrases"]) for hit in hits]
    return [any(which[:count]) for which in (right, said) for count in AT]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.retrieval", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home(), help="has the model")
    options = parser.parse_args()
    nearness = Nearness(lambda: find_embedder(options.home, 2))
    with tempfile.TemporaryDirectory() as folder:
        devices = seated(Path(folder), None, nearness=nearness).tools
        for name in SETS:
            told = json.loads(QUESTIONS.with_name(f"{name}.json").read_text(encoding="utf-8"))
            began, counts = time.process_time(), dict[str, list[int]]()
            for item in told["answerable"]:
                hits = [
                    hit
                    for one in devices
                    for hit in index_of(one).search(item["question"], PROPOSED)
                ]
                hits.sort(key=lambda hit: -hit.bm25)
                for order, ordered in orders(item["question"], hits, nearness).items():
                    seen = counts.setdefault(order, [0] * 2 * len(AT))
                    counts[order] = [a + b for a, b in zip(seen, found(ordered, item), strict=True)]
            asked, spent = len(told["answerable"]), time.process_time() - began
            print(f"{name}: {asked} questions, {spent / asked:.2f} s of processor time each")
            for order, (one, five, said, said_five) in counts.items():
                print(f"  {order:6} source @1 {one} @5 {five} | phrase @1 {said} @5 {said_five}")


if __name__ == "__main__":
    main()
