"""`search`: look a question up in this device's documents and quote the sentences that answer.

BM25 proposes passages, together with nearness in meaning where the task asks for it and the device
has a model for that; of each, the run of sentences that shares most with the question is a
candidate; the local model reorders candidates by how likely each makes the question.
Rule guarded here: a finding quotes, it never rewrites, and travels with its proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pockethive.actors.documents.attestation import quotation
from pockethive.actors.documents.index import DocumentIndex, Hit
from pockethive.actors.documents.nearness import (
    MOST_COMPARED,
    Nearness,
    by_nearness,
    fused,
)
from pockethive.actors.documents.passages import Passage, plain
from pockethive.actors.documents.query import analyse, query_stems
from pockethive.actors.skill import Product, Tools, Work, documents_of, model_for
from pockethive.actors.skills.fitting import LEAST_SHARE, STRONG_LEAD, share, unrelated
from pockethive.actors.skills.likelihood import Reader, in_place
from pockethive.actors.skills.windows import core, window
from pockethive.core.ports import Model

PASSAGES = 8  # read per question: the best by BM25
PROPOSED = 24  # the same where nearness picks among them, and as many that are near
SCORED = 5  # candidates the model reads; each costs about a hundred tokens
SCORED_NEAR = 6  # the same where nearness picks them
QUOTE = 900  # characters of a quotation at most, white space counted once: mostly the passage
# When a device says "nothing here"; all set on the development questions.
LEAST_COVERAGE = 0.15  # of the question's information; with less the model is not even asked
LEAST_KNOWN = 0.5  # of the question's words; who knows no more of them has nothing to say
ENOUGH_COVERAGE = 0.42  # with less, and few shared words, only a clear lead counts
ENOUGH_KNOWN = 0.75  # of the question's words known here: it may be asked in other words
LEAST_NEAR = 0.385  # cosine of the nearest passage; with less, nothing here is about the question
SURE_NEAR = 0.5  # with as much, a passage that verifiers would let pass is enough
CLEAR_LEAD = 7.0  # nats, for questions whose words are known
MAX_FINDINGS = 8
LEAST_LEAD = 2.0  # nats ahead of unrelated passages; less says nothing about the question
_COVERAGE_WEIGHT = 5.0  # nats for a passage that has every word of the question
_BM25_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run of sentences of a passage: `passage.text[start:end]`. `score` in nats; `near`: the
    passage's cosine to the question, where it is known."""

    hit: Hit
    start: int
    end: int
    score: float = 0.0
    near: float | None = None

    @property
    def quote(self) -> str:
        """The characters quoted."""
        return self.hit.passage.text[self.start : self.end]


class Search:
    """The researcher's skill. Params: `question`, `limit` (findings at most, default 2), `near`.

    `near`: true has passages proposed by meaning, too, on devices with an embedding model.
    """

    name = "search"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Search this device's documents. Raises SkillFailure when it has none."""
        index, model = documents_of(work, tools), model_for("searching", work, tools)
        question = str(work.params["question"])
        limit = min(int(work.params.get("limit", 2)), MAX_FINDINGS)
        near = tools.nearness if work.params.get("near") is True else None
        ranked, tokens = look_up(question, index, model, limit, near)
        value = {
            "findings": [_finding(index, item) for item in ranked[:limit]],
            "searched": {"documents": index.documents, "passages": index.passages},
        }
        return Product(value=value, prompt_tokens=tokens)


def look_up(
    question: str,
    index: DocumentIndex,
    model: Model,
    limit: int = SCORED,
    nearness: Nearness | None = None,
) -> tuple[tuple[Candidate, ...], int]:
    """Candidates, best first, and the tokens the model read.

    None at all when words, nearness or model say that no passage is about the question. Where
    nearness is known and one passage is about it, the others that were read go on behind it.
    """
    known = index.known(question)
    if known <= LEAST_KNOWN:
        return (), 0
    hits = _hits(question, index, limit, nearness)
    if not hits or max(hit.coverage for hit in hits) < LEAST_COVERAGE:
        return (), 0
    read = proposed(question, hits, nearness)
    read = read[: max(SCORED if read[0].near is None else SCORED_NEAR, limit)]
    near = max((item.near for item in read if item.near is not None), default=None)
    if near is not None and near < LEAST_NEAR:
        return (), 0
    reader = Reader(model, question)
    scored = [replace(item, score=reader.gain(context(item, question))) for item in read]
    scored.sort(key=lambda item: -item.score)
    told = _Told(question, known, max(map(reader.gain, unrelated(index, question))))
    plausible = max(hit.coverage for hit in hits) >= ENOUGH_COVERAGE
    worth = [item for item in scored if told.answers(item, plausible=plausible)]
    if near is None:
        return tuple(worth), reader.tokens
    if not worth and near >= SURE_NEAR:
        worth = [item for item in scored if told.fits(item)]
    first = worth[:1]
    return (*first, *(item for item in scored if first and item is not first[0])), reader.tokens


def _hits(
    question: str, index: DocumentIndex, limit: int, nearness: Nearness | None
) -> tuple[Hit, ...]:
    """Passages by words and, where there is a model for it, those that are near in meaning."""
    if nearness is None:
        return index.search(question, max(PASSAGES, limit))
    near: tuple[int, ...] = ()
    if index.passages <= MOST_COMPARED:
        texts = {key: whole(passage) for key, passage in index.texts().items()}
        near = nearness.nearest(question, texts, PROPOSED)
    return index.search(question, max(PROPOSED, limit), near)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of a question here; `level`: nats of passages about other things."""

    question: str
    known: float
    level: float

    def answers(self, item: Candidate, *, plausible: bool) -> bool:
        """Whether a candidate says something about it."""
        clear = CLEAR_LEAD if self.known >= ENOUGH_KNOWN else STRONG_LEAD
        likely = plausible and item.score >= self.level + LEAST_LEAD
        return item.score >= self.level + clear or (likely and self._shares(item))

    def fits(self, item: Candidate) -> bool:
        """Whether verifiers would say so, who read without knowing what is near."""
        return item.score > self.level and self._shares(item)

    def _shares(self, item: Candidate) -> bool:
        return share(self.question, context(item, self.question)) >= LEAST_SHARE


def proposed(question: str, hits: Sequence[Hit], nearness: Nearness | None) -> list[Candidate]:
    """What is worth reading, best first: by words, and by nearness where a model for it is."""
    wanted = query_stems(analyse(question))
    candidates = sorted((best_window(hit, wanted) for hit in hits), key=_lexical, reverse=True)
    texts = [whole(item.hit.passage) for item in candidates]
    near = nearness.cosines(question, texts) if nearness else None
    if near is None:
        return candidates
    order = fused(range(len(candidates)), by_nearness(near))
    return [replace(candidates[place], near=near[place]) for place in order]


def context(candidate: Candidate, question: str) -> str:
    """A candidate as the model reads it."""
    passage = candidate.hit.passage
    return in_place(passage.title, passage.heading, core(candidate.quote, question))


def whole(passage: Passage) -> str:
    """A passage as its nearness is told, with its headings."""
    return in_place(passage.title, passage.heading, plain(passage.text))


def best_window(hit: Hit, wanted: Sequence[str]) -> Candidate:
    """The run of sentences of a passage that holds most of what is wanted."""
    start, end = window(hit.passage.text, wanted, QUOTE)
    return Candidate(hit=hit, start=start, end=end)


def _lexical(candidate: Candidate) -> float:
    return _COVERAGE_WEIGHT * candidate.hit.coverage + _BM25_WEIGHT * candidate.hit.bm25


def _finding(index: DocumentIndex, candidate: Candidate) -> Mapping[str, Any]:
    hit = candidate.hit
    proven = quotation(hit.source, index.device, hit.passage, index.prove(hit))
    return {
        **proven,
        "quote": candidate.quote,
        "score": round(candidate.score * 1000),
        "start": candidate.start,
    }
