"""Folding a set of entries into what a task is now.

Rule guarded here: every reader of the same set sees the same task, whatever the order, repetitions
or entries of strangers in it. A commit is believed because of its acks, not because of its author.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pockethive.core.ballot import votes
from pockethive.core.entry import Claim, Close, Commit, Entry, Kind, Output, Sealing, Verdict
from pockethive.core.entry_codec import slot
from pockethive.core.lease import ack_bytes
from pockethive.core.lifecycle import CLOSES, Move, Status, step
from pockethive.core.people import may_succeed
from pockethive.core.ports import VerifySignature
from pockethive.core.ruling import asks, ruled
from pockethive.core.sealing import sealed_by_quorum, successor
from pockethive.core.signed import signed_by
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.verification import accepting, evidence, judgements, waived

_ONCE = (
    *(Kind.OUTPUT, Kind.VERDICT, Kind.WAIVER, Kind.RULING, Kind.PLEDGE),
    *(Kind.BALLOT, Kind.TASK),
)
"""Of these an author says one thing in one slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as its entries tell it.

    `task` is of the latest generation, `judged` of the one that committed it, if one did: whose
    waiver or ballot counts, and whose witnesses acked. `outputs`, `verdicts` (ballots and pledges
    where it is voted on, rulings where its owner is asked): those that count, by digest. `worker`,
    `epoch`, `output`: of the committed output; of the latest proposal before. `holders`: devices
    that hold the committed blob, the worker first. `waiver`: of the committed output, where it was
    taken on credit without verdicts. `evidence`: entries that share a slot with another one of
    their author.
    """

    task: Task
    judged: Task
    entry: Entry
    status: Status
    epoch: int
    outputs: tuple[Entry, ...]
    verdicts: tuple[Entry, ...]
    waiver: Entry | None
    commit: Entry | None
    close: Entry | None
    worker: DeviceId | None
    output: str | None
    holders: tuple[DeviceId, ...]
    evidence: tuple[Entry, ...]


def fold(
    entries: Iterable[Entry], verify: VerifySignature, wanted: TaskId | None = None
) -> TaskView | None:
    """What the entries say of a task (`wanted`, or the only one there is).

    None when its signed task is not among them. Signatures of the entries were checked before.
    """
    by_digest = {entry.digest: entry for entry in entries}
    everything = [by_digest[digest] for digest in sorted(by_digest)]
    chain = generations(everything, wanted, verify)
    if not chain:
        return None
    signed = chain[-1]
    task, tasks = _task(signed), [_task(entry) for entry in chain]
    about = [e for e in everything if getattr(e.body, "task", None) == task.id]
    outputs = tuple(e for e in about if _is_output(e, task))
    verdicts = tuple(e for e in about if _counts(e, tasks, outputs))
    ends = ((e, each) for e in about for each in tasks if proven(e, each, verify))
    commit, judged = next(ends, (None, task))
    close = next((e for e in about if e.kind is Kind.CLOSE and e.author == task.owner), None)
    made = _made(commit, outputs)
    epoch, sha = _value(commit, made)
    return TaskView(
        task=task,
        judged=judged,
        entry=signed,
        status=_status(task, about, outputs, (commit, close)),
        epoch=epoch,
        outputs=outputs,
        verdicts=verdicts,
        waiver=None if commit is None or made is None else _waiver(judged, made, about),
        commit=commit,
        close=close,
        worker=None if made is None else made.author,
        output=sha,
        holders=_holders(judged, commit, made, verdicts),
        evidence=_doubles(
            [*about, *(e for e in everything if e.body == task or _is_task(e, task))]
        ),
    )


def of_owner(entries: Iterable[Entry], owner_key: str) -> tuple[Entry, ...]:
    """The entries without tasks that nobody proves to be of this owner.

    Whoever reads for an owner reads so: a stranger may sign a task of any name.
    """
    return tuple(
        entry
        for entry in entries
        if not isinstance(entry.body, Task)
        or (entry.body.certificate and entry.body.owner_key == owner_key)
    )


def proven(entry: Entry, task: Task, verify: VerifySignature) -> bool:
    """Whether `entry` is a commit of `task` with valid acks of a quorum of its witnesses."""
    commit = entry.body
    if not isinstance(commit, Commit) or commit.task != task.id:
        return False
    if commit.generation != task.committee.generation:
        return False
    return len(ackers(entry, task, verify)) >= task.committee.quorum


def ackers(entry: Entry, task: Task, verify: VerifySignature) -> frozenset[DeviceId]:
    """The witnesses of `task` whose acks in a commit are good.

    Where its author is the only witness, and there is no ack in it, the entry itself is the ack.
    """
    commit = entry.body
    assert isinstance(commit, Commit)
    if not commit.acks and task.committee.witnesses == (entry.author,):
        return frozenset((entry.author,))
    said = ack_bytes(commit.task, commit.generation, commit.epoch, commit.output)
    return frozenset(
        witness
        for witness, signature in commit.acks
        if witness in task.committee.witnesses and signed_by(witness, said, signature, verify)
    )


def _is_task(entry: Entry, task: Task) -> bool:
    return isinstance(entry.body, Task) and entry.body.id == task.id and entry.author == task.owner


def generations(
    entries: Iterable[Entry], wanted: TaskId | None, verify: VerifySignature
) -> list[Entry]:
    """The signed task in its generations, as far as seals lead from one to the next.

    The first is the earliest that is here; ties go to the smallest id and digest.
    """
    everything = list(entries)
    found = [
        (entry.body.id, entry.body.committee.generation, entry.digest, entry)
        for entry in everything
        if isinstance(entry.body, Task)
        and entry.author == entry.body.owner
        and wanted in (None, entry.body.id)
    ]
    found.sort(key=lambda item: item[:3])
    chain = [found[0][3]] if found else []
    while chain:
        task = _task(chain[-1])
        heirs = {
            entry.body.successor
            for entry in everything
            if isinstance(entry.body, Sealing) and sealed_by_quorum(task, entry.body, verify)
        }
        later = [entry for *_, entry in found if _succeeds(_task(entry), task, heirs)]
        if not later:
            break
        chain.append(later[0])
    return chain


def _succeeds(later: Task, task: Task, heirs: set[str]) -> bool:
    """Whether `later` is the generation after `task`, with the committee that the seals name."""
    return (
        later.committee.generation == task.committee.generation + 1
        and may_succeed(later, task)
        and successor(later.committee, None if later.owner == task.owner else later.owner) in heirs
    )


def _task(entry: Entry) -> Task:
    assert isinstance(entry.body, Task)
    return entry.body


def _is_output(entry: Entry, task: Task) -> bool:
    return isinstance(entry.body, Output) and task.place in (None, entry.author)


def _fits(entry: Entry, task: Task, outputs: tuple[Entry, ...]) -> bool:
    """Verdicts on outputs that are here; of a device's contradiction neither side counts."""
    return any(entry in judgements(task, output, (entry,)) for output in outputs)


def _counts(entry: Entry, tasks: list[Task], outputs: tuple[Entry, ...]) -> bool:
    """`tasks`: the generations; each had its own owner."""
    task = tasks[-1]
    if votes(task):
        return entry.kind in (Kind.BALLOT, Kind.PLEDGE)
    if asks(task):
        return any(ruled(each, output, (entry,)) for each in tasks for output in outputs)
    return isinstance(entry.body, Verdict) and _fits(entry, task, outputs)


def _waiver(task: Task, made: Entry, about: list[Entry]) -> Entry | None:
    waiver = waived(task, made, about)
    return waiver if waiver in evidence(task, made, about) else None


def _made(commit: Entry | None, outputs: tuple[Entry, ...]) -> Entry | None:
    """The output entry that the commit names, else the latest proposal."""
    value = commit.body if commit is not None else None
    fitting = [
        (entry.body.epoch, entry.digest, entry)
        for entry in outputs
        if isinstance(entry.body, Output)
        and (not isinstance(value, Commit) or _before(entry.body, value))
    ]
    return max(fitting, key=lambda item: item[:2])[2] if fitting else None


def _before(output: Output, commit: Commit) -> bool:
    """A commit may finish at a later epoch what was made at an earlier one."""
    return output.output == commit.output and output.epoch <= commit.epoch


def _value(commit: Entry | None, made: Entry | None) -> tuple[int, str | None]:
    if commit is not None and isinstance(commit.body, Commit):
        return commit.body.epoch, commit.body.output
    if made is not None and isinstance(made.body, Output):
        return made.body.epoch, made.body.output
    return 0, None


def _holders(
    task: Task, commit: Entry | None, made: Entry | None, verdicts: tuple[Entry, ...]
) -> tuple[DeviceId, ...]:
    if commit is None or made is None:
        return ()
    verified = (entry.author for entry in accepting(task, made, verdicts))
    told = commit.body.holders if isinstance(commit.body, Commit) else ()
    return tuple(dict.fromkeys((made.author, *verified, *told)))


def _status(
    task: Task, about: list[Entry], outputs: tuple[Entry, ...], ends: tuple[Entry | None, ...]
) -> Status:
    """Readiness is not an entry, so a reader starts from `ready`."""
    commit, close = ends
    moves = [Move.CLAIM] if any(isinstance(e.body, Claim) for e in about) else []
    if outputs:
        moves.append(Move.PROPOSE)
    if close is not None and isinstance(close.body, Close):
        moves.append(CLOSES[close.body.reason])
    if commit is not None:
        moves.append(Move.COMMIT)
    status = Status.READY
    for move in moves:
        status = step(task.id, status, move)
    return status


def _doubles(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Entries of one author in one slot that differ: proof that the author cheats.

    Commits and closes of one author are left out: a second commit only has other acks.
    """
    places: dict[tuple[str, Kind, bytes], dict[str, Entry]] = {}
    for entry in entries:
        if entry.kind in _ONCE:
            place = (entry.author, entry.kind, slot(entry.body))
            known = places.setdefault(place, {})
            if all(other.body != entry.body for other in known.values()):
                known[entry.digest] = entry
    doubled = [e for known in places.values() if len(known) > 1 for e in known.values()]
    return tuple(sorted(doubled, key=lambda entry: entry.digest))
