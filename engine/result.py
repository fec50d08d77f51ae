"""What a run gives its caller: the answer, where it comes from, and who did and verified what.

`Result.to_json` is the object that `pockethive run --json` prints.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

from pockethive.core.entry import Entry, Kind, Pledge, Ruling, Verdict
from pockethive.core.report import Outcome, RunStatus, TaskReport
from pockethive.core.rescore import is_written, shown
from pockethive.core.ruling import asks
from pockethive.core.verification import needed
from pockethive.receipt import Receipt

ON_CREDIT = "on credit"
BY_OWNER = "accepted by its owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One quotation of the answer; `device` holds the source."""

    number: int
    source: str
    quote: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictSeen:
    """What one verifier said of the output that was committed, or of one that was not."""

    device: str
    verdict: str  # accept or reject
    reason: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """One task as the caller sees it."""

    id: str
    name: str
    role: str
    status: str
    device: str | None
    epoch: int
    attempts: int
    verdicts: tuple[VerdictSeen, ...]
    witnesses: tuple[int, int, int]  # K, q, f
    taken: str
    """Why its output counts: verified, on credit, accepted by its owner, or attested by its device
    alone."""
    reason: str
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A task without an output, and why."""

    task: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsed:
    """The model of the run, or empty strings when none was needed."""

    name: str = ""
    quantization: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftSeen:
    """An act that a committed output wants done, by its number in the outbox of the home."""

    act: int
    kind: str
    target: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run. `status` is completed, partial, failed, or moved where another device of the
    owner keeps it; `reason` says why not completed.

    `confidence`, 0 to 1: how sure the roles are of the answer (docs/models.md says what that is
    worth); None where they do not say. `proof` makes the receipt, which `receipts` keeps from its
    first use on; `outputs` are the blobs of its committed sinks, whose hashes the receipt binds.
    `drafts` wait in the home's outbox.
    """

    run_id: str
    status: str
    reason: str
    timed_out: bool
    answer: str
    found: bool
    confidence: float | None
    citations: tuple[Citation, ...]
    tasks: tuple[TaskSeen, ...]
    devices: tuple[str, ...]
    model: ModelUsed
    missing: tuple[Missing, ...]
    prompt_tokens: int
    generated_tokens: int
    plan_seconds: float
    seconds: float
    proof: Callable[[], Receipt] = field(repr=False)
    outputs: tuple[bytes, ...]
    drafts: tuple[DraftSeen, ...]

    @cached_property
    def receipts(self) -> Receipt:
        """The file that proves the run (`Receipt.encode`)."""
        return self.proof()

    def to_json(self) -> dict[str, Any]:
        """The documented JSON object; the receipt is `receipts.to_json()`."""
        k, q, f = min((task.witnesses for task in self.tasks), default=(0, 0, 0))
        tasks = []
        for task in self.tasks:
            seen = asdict(task)
            seen["witnesses"] = dict(zip(("K", "q", "f"), task.witnesses, strict=True))
            tasks.append(seen)
        return {
            "run_id": self.run_id,
            "status": self.status,
            "reason": self.reason,
            "answer": self.answer,
            "found": self.found,
            "confidence": self.confidence,
            "citations": [asdict(citation) for citation in self.citations],
            "tasks": tasks,
            "devices": list(self.devices),
            "model": asdict(self.model),
            "witnesses": {"K": k, "q": q, "f": f},
            "drafts": [asdict(draft) for draft in self.drafts],
            "missing": [asdict(missing) for missing in self.missing],
            "tokens": {"prompt": self.prompt_tokens, "generated": self.generated_tokens},
            "seconds": {"plan": round(self.plan_seconds, 3), "total": round(self.seconds, 3)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was read of a finished run beside its outcome."""

    sinks: tuple[dict[str, Any], ...]  # values of the committed sinks, in graph order
    tokens: tuple[int, int]  # prompt, generated
    devices: tuple[str, ...]
    model: ModelUsed
    proof: Callable[[], Receipt]
    outputs: tuple[bytes, ...] = ()  # blobs of the committed sinks, in graph order
    drafts: tuple[DraftSeen, ...] = ()


def make_result(outcome: Outcome, gathered: Gathered) -> Result:
    """Join an outcome with the outputs of its sinks.

    A sink's value is an answer when it holds `answer` (text), and may hold `citations`, `found`
    and `confidence` in thousandths; so is a text that a model wrote.
    """
    sinks = (shown(sink) if is_written(sink) else sink for sink in gathered.sinks)
    answers = [sink for sink in sinks if isinstance(sink.get("answer"), str)]
    answer, citations = _joined(answers)
    named = (RunStatus.COMPLETED, RunStatus.PARTIAL, RunStatus.MOVED)
    return Result(
        run_id=outcome.run,
        status=outcome.status.value if outcome.status in named else RunStatus.FAILED.value,
        reason=outcome.reason,
        timed_out=outcome.status is RunStatus.TIMED_OUT,
        answer=answer,
        found=any(sink.get("found", True) for sink in answers),
        confidence=_least_sure(answers),
        citations=citations,
        tasks=tuple(_seen(report) for report in outcome.tasks),
        devices=gathered.devices,
        model=gathered.model,
        missing=tuple(Missing(task=name, reason=why) for name, why in outcome.missing),
        prompt_tokens=gathered.tokens[0],
        generated_tokens=gathered.tokens[1],
        plan_seconds=outcome.plan_seconds,
        seconds=outcome.seconds,
        proof=gathered.proof,
        outputs=gathered.outputs,
        drafts=gathered.drafts,
    )


def _least_sure(answers: Sequence[dict[str, Any]]) -> float | None:
    """The confidence of the least sure answer, 0 to 1; none where one does not say."""
    told = [answer.get("confidence") for answer in answers]
    sure = [each for each in told if type(each) is int and 0 <= each <= _CERTAIN]
    return min(sure) / _CERTAIN if sure and len(sure) == len(told) else None


_CERTAIN = 1000
_MARK = re.compile(r" \[(\d+)\]$", re.MULTILINE)
"""A citation's number, at the end of its line; brackets inside a quotation are the source's own."""


def _joined(answers: Sequence[dict[str, Any]]) -> tuple[str, tuple[Citation, ...]]:
    """One text of several answers, each of which numbered its citations from 1.

    A quotation that several cite has one number; an answer that says the same again is left out.
    """
    numbers: dict[tuple[str, str, str], int] = {}
    texts: dict[str, None] = {}
    for answer in answers:
        own: dict[str, int] = {}
        for item in answer.get("citations", ()):
            key = item["source"], item["quote"], item["device"]
            own[str(item["number"])] = numbers.setdefault(key, len(numbers) + 1)
        texts[_MARK.sub(partial(_renumbered, own), answer["answer"])] = None
    citations = tuple(
        Citation(number=number, source=source, quote=quote, device=device)
        for (source, quote, device), number in numbers.items()
    )
    return "\n\n".join(texts), citations


def _renumbered(numbers: Mapping[str, int], mark: re.Match[str]) -> str:
    return f" [{numbers.get(mark[1], mark[1])}]"


def _seen(report: TaskReport) -> TaskSeen:
    committee = report.task.committee
    return TaskSeen(
        id=report.id,
        name=report.name,
        role=report.task.role,
        status=report.status,
        device=report.worker,
        epoch=report.epoch,
        attempts=report.attempts,
        verdicts=_verdicts(report),
        witnesses=_strength(len(committee.witnesses), committee.quorum, committee.liars),
        taken=_taken(report),
        reason=report.reason,
        story=report.story,
    )


@lru_cache(maxsize=64)
def _strength(witnesses: int, quorum: int, liars: int) -> tuple[int, int, int]:
    """K, q and f: one object for all tasks that have the same."""
    return witnesses, quorum, liars


def _taken(report: TaskReport) -> str:
    if report.output is None:
        return ""
    if report.on_credit:
        return ON_CREDIT
    if asks(report.task):
        return BY_OWNER
    return "verified" if needed(report.task) else "attested"


def _verdicts(report: TaskReport) -> tuple[VerdictSeen, ...]:
    """Verdicts; where it was voted on, those who made the same as was committed; where its owner
    was asked, his word."""
    said = [_verdict(entry) for entry in report.receipts if entry.kind is Kind.VERDICT]
    alike = "made the same, unseen"
    voters = [
        VerdictSeen(device=entry.author, verdict="accept", reason=alike, epoch=entry.body.epoch)
        for entry in report.receipts
        if isinstance(entry.body, Pledge) and entry.author != report.worker
    ]
    owners = [
        VerdictSeen(
            device=entry.author,
            verdict="accept" if entry.body.accept else "reject",
            reason="the owner himself",
            epoch=entry.body.epoch,
        )
        for entry in report.receipts
        if isinstance(entry.body, Ruling)
    ]
    return (*said, *voters, *owners)


def _verdict(entry: Entry) -> VerdictSeen:
    assert isinstance(entry.body, Verdict)
    return VerdictSeen(
        device=entry.author,
        verdict="accept" if entry.body.accept else "reject",
        reason=entry.body.reason,
        epoch=entry.body.epoch,
    )
