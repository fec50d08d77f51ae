"""Asking a swarm the questions of `trials.topics`, and what its answers come to."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pockethive.result import Result
from pockethive.swarm import Swarm
from pockethive.trials.laws import wilson
from pockethive.trials.topics import LeftOut, Mark, TopicQuestion, askable, marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One question and its answer. `sources`: documents cited, in order; `seconds` of wall time."""

    id: str
    split: str
    question: str
    answer: str
    sources: tuple[str, ...]
    mark: Mark
    status: str
    seconds: float

    def row(self) -> dict[str, Any]:
        """As JSON-able values, with what `Mark` derives."""
        return {**asdict(self), "right": self.mark.right, "failure": self.mark.failure}


def texts_in(folders: Sequence[Path]) -> dict[str, str]:
    """The documents of `write_corpus`, by name."""
    return {
        path.name: path.read_text(encoding="utf-8")
        for folder in folders
        for path in folder.glob("*.txt")
    }


def to_ask(
    questions: Sequence[TopicQuestion], folders: Sequence[Path]
) -> tuple[tuple[TopicQuestion, ...], tuple[LeftOut, ...]]:
    """Those that the documents in `folders` can be asked, and those left out."""
    return askable(questions, texts_in(folders))


def replies(swarm: Swarm, questions: Sequence[TopicQuestion]) -> Iterator[Reply]:
    """Ask one after another."""
    for question in questions:
        yield reply_of(question, swarm.run_sync(question.question))


def reply_of(question: TopicQuestion, result: Result) -> Reply:
    """What a run's result is worth as an answer to `question`."""
    cited = [(each.source, each.quote) for each in result.citations]
    return Reply(
        id=question.id,
        split=question.split,
        question=question.question,
        answer=result.answer,
        sources=tuple(name for name, _ in cited),
        mark=marked(question, result.answer, cited, found=result.found),
        status=result.status,
        seconds=round(result.seconds, 2),
    )


def figures(given: Sequence[Reply]) -> dict[str, Any]:
    """What counts, each count with its 95 % interval (Wilson) as shares.

    `right`: everything asked is said and cited, or nothing claimed where nothing is known. `said`:
    every part's phrase stands in the answer. Precision is of citations, recall of parts.
    """
    known = [each.mark for each in given if each.mark.parts]
    unknown = [each.mark for each in given if not each.mark.parts]
    parts = sum(mark.parts for mark in known)
    citations = sum(mark.citations for mark in known)
    return {
        "right": _share(sum(mark.right for mark in known), len(known)),
        "said": _share(sum(mark.said == mark.parts for mark in known), len(known)),
        "all_sources": _share(sum(mark.cited == mark.parts for mark in known), len(known)),
        "precision": _share(sum(mark.citations_right for mark in known), citations),
        "recall": _share(sum(mark.cited for mark in known), parts),
        "parts_said": _share(sum(mark.said for mark in known), parts),
        "not_known": _share(sum(mark.right for mark in unknown), len(unknown)),
        "failures": dict(Counter(each.mark.failure for each in given if each.mark.failure)),
        "seconds_median": round(statistics.median(each.seconds for each in given), 2)
        if given
        else 0.0,
    }


def _share(right: int, of: int) -> dict[str, Any]:
    return {"of": of, "right": right, "interval": wilson(right, of) if of else [0.0, 1.0]}
