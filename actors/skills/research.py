"""`search`: look a question up in this device's documents and quote the sentences that answer.

BM25 proposes passages; of each, the run of sentences that shares most with the question is a
candidate; the local model reorders candidates by how likely each makes the question.
Rule guarded here: a finding quotes, it never rewrites, and travels with its proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pockethive.actors.documents.attestation import quotation
from pockethive.actors.documents.index import DocumentIndex, Hit
from pockethive.actors.documents.passages import plain
from pockethive.actors.documents.query import analyse, query_stems, stems
from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills.likelihood import Reader, in_place
from pockethive.core.canonical import digest
from pockethive.core.errors import SkillFailure
from pockethive.core.ports import Model
from pockethive.inference.spans import sentences

PASSAGES = 8  # read per question: the best by BM25
SCORED = 6  # candidates the model reads; each costs about a hundred tokens
QUOTE = 300  # characters of a quotation, about seventy tokens
LEAST_COVERAGE = (
    0.42  # of the question's information; below it the documents are about other things
)
MAX_FINDINGS = 8
UNRELATED = 2  # passages picked blindly; what does not beat them says nothing about the question
LEAST_LEAD = 2.0  # nats
_UNRELATED_TEXT = 200  # characters
_COVERAGE_WEIGHT = 5.0  # nats for a passage that has every word of the question
_BM25_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run of sentences of a passage: `passage.text[start:end]`. `score` in nats."""

    hit: Hit
    start: int
    end: int
    score: float = 0.0

    @property
    def quote(self) -> str:
        """The characters quoted."""
        return self.hit.passage.text[self.start : self.end]


class Search:
    """The researcher's skill. Params: `question`, `limit` (findings at most, default 2)."""

    name = "search"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Search this device's documents. Raises SkillFailure when it has none."""
        if tools.documents is None:
            raise SkillFailure(
                "this device has no documents", where=work.name, cure="start it with --documents"
            )
        index, question = tools.documents, str(work.params["question"])
        limit = min(int(work.params.get("limit", 2)), MAX_FINDINGS)
        ranked, tokens = look_up(question, index, tools.model, limit)
        value = {
            "findings": [_finding(index, item) for item in ranked[:limit]],
            "searched": {"documents": index.documents, "passages": index.passages},
        }
        return Product(value=value, prompt_tokens=tokens)


def look_up(
    question: str, index: DocumentIndex, model: Model | None, limit: int = SCORED
) -> tuple[tuple[Candidate, ...], int]:
    """Candidates, best first, and the tokens the model read.

    None at all when even the best passage lacks most of what the question is about.
    """
    hits = index.search(question, max(PASSAGES, limit))
    if not hits or max(hit.coverage for hit in hits) < LEAST_COVERAGE:
        return (), 0
    wanted = query_stems(analyse(question))
    candidates = [best_window(hit, wanted) for hit in hits]
    candidates.sort(key=_lexical, reverse=True)
    if model is None:
        return tuple(_scored(item, _lexical(item)) for item in candidates), 0
    reader = Reader(model, question)
    read = candidates[: max(SCORED, limit)]
    scored = [_scored(item, reader.gain(context(item))) for item in read]
    unrelated = own_texts(index, digest("unrelated", question.encode()), UNRELATED)
    least = max(reader.gain(text) for text in unrelated) + LEAST_LEAD
    worth = [item for item in scored if item.score >= least]
    return tuple(sorted(worth, key=lambda item: -item.score)), reader.tokens


def context(candidate: Candidate) -> str:
    """A candidate as the model reads it."""
    passage = candidate.hit.passage
    return in_place(passage.title, passage.heading, plain(candidate.quote))


def own_texts(index: DocumentIndex, seed: bytes, count: int) -> list[str]:
    """Passages picked by `seed`: alike in kind to the findings, about other things."""
    chosen = index.pick(seed, count)
    return [in_place(x.title, x.heading, plain(x.text)[:_UNRELATED_TEXT]) for x in chosen]


def best_window(hit: Hit, wanted: Sequence[str]) -> Candidate:
    """The run of sentences that holds most of what is wanted, with what follows it."""
    text = hit.passage.text
    spans = sentences(text) or ((0, len(text)),)
    shared = [len(stems(text[a:b]).intersection(wanted)) for a, b in spans]
    first = last = max(range(len(spans)), key=lambda i: (shared[i], -i))
    while True:
        ahead = last + 1 < len(spans) and _fits(text, spans[first][0], spans[last + 1][1])
        behind = first > 0 and _fits(text, spans[first - 1][0], spans[last][1])
        if behind and (not ahead or shared[first - 1] > shared[last + 1]):
            first -= 1
        elif ahead:
            last += 1
        else:
            break
    start, end = spans[first][0], spans[last][1]
    return Candidate(hit=hit, start=start, end=min(end, start + 2 * QUOTE))


def _fits(text: str, start: int, end: int) -> bool:
    return len(plain(text[start:end])) <= QUOTE


def _lexical(candidate: Candidate) -> float:
    return _COVERAGE_WEIGHT * candidate.hit.coverage + _BM25_WEIGHT * candidate.hit.bm25


def _scored(candidate: Candidate, score: float) -> Candidate:
    return Candidate(hit=candidate.hit, start=candidate.start, end=candidate.end, score=score)


def _finding(index: DocumentIndex, candidate: Candidate) -> Mapping[str, Any]:
    hit = candidate.hit
    proven = quotation(hit.source, index.device, hit.passage, index.prove(hit))
    return {
        **proven,
        "quote": candidate.quote,
        "score": round(candidate.score * 1000),
        "start": candidate.start,
    }
