"""The witness: a Paxos acceptor with time limits, as a pure compare-and-set on one cell.

Rules guarded here: one holder at a time, epochs only rise, an accepted value never changes. The
shell makes the cell durable before an answer leaves, and signs grants and acks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pockethive.core.cell import MAX_SLOTS, SPARE_SLOTS, Cell, Span, decode_cell, encode_cell
from pockethive.core.claim import is_claim
from pockethive.core.entry import Entry, Kind, Output
from pockethive.core.lease import (
    MAX_EPOCH_JUMP,
    MAX_LEASE_SECONDS,
    Accepted,
    Ack,
    AskCommit,
    AskLease,
    AskSlot,
    EpochRead,
    FreeLease,
    Grant,
    Propose,
    ReadEpoch,
    Refusal,
    Refused,
    Seal,
    Sealed,
    WitnessAnswer,
    WitnessRequest,
)
from pockethive.core.lots import invites_to
from pockethive.core.people import is_certified, may_succeed
from pockethive.core.ports import VerifySignature
from pockethive.core.task import DeviceId, Task, TaskId
from pockethive.core.verification import is_count, needed, satisfied


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAsked:
    """One request. Times are unix seconds.

    `peer` is authenticated. `born`: when the witness's database was made; promises older than that
    are forgotten. `booted`: since when the witness has been running without interruption.
    """

    peer: DeviceId
    request: WitnessRequest
    born: float
    booted: float = 0.0


Decided = tuple[Cell | None, WitnessAnswer]


class Witness:
    """Decides for one device. Stateless: everything it remembers is in the cell."""

    def __init__(self, device: DeviceId, verify: VerifySignature) -> None:
        self.device, self._verify = device, verify

    def decide(
        self, cell: bytes | None, asked: WitnessAsked, now: float
    ) -> tuple[bytes | None, WitnessAnswer]:
        """The cell's next value and the answer, `signature` fields empty. `now` is unix seconds.

        Raises:
            BadEncoding: the stored cell is damaged.
        """
        old = None if cell is None else decode_cell(cell)
        kin = _shows_kinship(asked, self._verify)
        new, answer = _Decision(self.device, asked, now, kin=kin).decide(old)
        if new == old:
            return cell, answer
        return (None if new is None else encode_cell(new)), answer


class _Decision:
    """One step, with what stays the same during it.

    `kin`: the peer has shown the certificate of the owner whom the task names.
    """

    def __init__(self, device: DeviceId, asked: WitnessAsked, now: float, *, kin: bool) -> None:
        self._device, self._asked, self._kin = device, asked, kin
        self._now, self._booted = int(now * 1_000), int(asked.booted * 1_000)

    def decide(self, cell: Cell | None) -> Decided:
        match self._asked.request:
            case AskLease() as request:
                return self._lease(cell, request)
            case Seal() as request:
                return self._seal(cell, request)
            case ReadEpoch(task=task) if cell is None:
                return None, EpochRead(task=task, epoch=0, accepted=None)
            case request if cell is None:
                return None, _refusal(None, request.task, Refused.UNKNOWN)
            case request if cell.sealed and not isinstance(request, ReadEpoch):
                return cell, _refusal(cell, request.task, Refused.SEALED)
            case request:
                return self._further(cell, request)

    def _further(
        self, cell: Cell, request: ReadEpoch | FreeLease | Propose | AskSlot | AskCommit
    ) -> Decided:
        """What concerns a generation that goes on here."""
        match request:
            case ReadEpoch():
                left = 0.0 if cell.holder == self._asked.peer else self._left(cell.span)
                return cell, replace(_epoch(cell), wait_seconds=_whole(left))
            case FreeLease():
                return self._free(cell, request)
            case Propose():
                return self._propose(cell, request)
            case AskSlot():
                return self._slot(cell, request)
            case AskCommit():
                return self._commit(cell, request)

    def _lease(self, cell: Cell | None, ask: AskLease) -> Decided:
        refused = self._unfit(cell, ask)
        if refused is not None:
            left = 0.0 if refused is not Refused.WARMING else self._warm_seconds(ask)
            return cell, _refusal(cell, ask.task, refused, left)
        task = ask.entry.body
        assert isinstance(task, Task)
        known = cell if cell is not None and cell.task == task else _begin(task, cell)
        peer, left = self._asked.peer, self._left(known.span)
        if ask.renews and (ask.epoch, peer, ask.attempt) == _held(known):
            return self._grant(replace(known, span=self._span(task, ask.seconds)))
        if ask.epoch <= known.epoch:
            return cell, _refusal(known, ask.task, Refused.STALE, left)
        if ask.epoch > known.epoch + MAX_EPOCH_JUMP:
            return cell, _refusal(known, ask.task, Refused.JUMP, left)
        if left > 0 and known.holder != peer:
            return cell, _refusal(known, ask.task, Refused.BUSY, left)
        span, attempt = self._span(task, ask.seconds), ask.attempt
        return self._grant(
            replace(known, epoch=ask.epoch, span=span, held=None, slots=(), attempt=attempt)
        )

    def _unfit(self, cell: Cell | None, ask: AskLease) -> Refused | None:
        """Why this request gets no lease here, whatever the cell's epoch is."""
        task = ask.entry.body
        if not isinstance(task, Task) or task.id != ask.task or ask.entry.author != task.owner:
            return Refused.UNPROVEN
        if self._device not in task.committee.witnesses:
            return Refused.UNKNOWN
        if cell is not None and cell.task != task and not _succeeds(task, cell):
            older = task.committee.generation < cell.task.committee.generation
            return Refused.SEALED if older else Refused.UNPROVEN
        if cell is not None and cell.task == task and cell.sealed:
            return Refused.SEALED
        if task.place not in (None, self._asked.peer):
            return Refused.UNPROVEN
        if is_claim(task) and not self._owns(task):
            return Refused.UNPROVEN
        if cell is None and self._forgetful(task):
            return Refused.WARMING
        return None

    def _forgetful(self, task: Task) -> bool:
        """Whether a promise about this task may run that was lost with an older database.

        No lease of a task is longer than the task says, and a task begun after this database was
        made was never promised before. `began` is cut to a second.
        """
        born = self._asked.born
        return task.began + 1 <= born and self._now / 1_000 < born + task.lease_seconds

    def _warm_seconds(self, ask: AskLease) -> float:
        assert isinstance(ask.entry.body, Task)
        return self._asked.born + ask.entry.body.lease_seconds - self._now / 1_000

    def _seal(self, cell: Cell | None, ask: Seal) -> Decided:
        """End a generation. The successor that was named first stays; the answer tells which."""
        task = ask.entry.body
        if not isinstance(task, Task) or task.id != ask.task or ask.entry.author != task.owner:
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN)
        if not self._owns(task) or task.committee.generation != ask.generation:
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN)
        # One that forgot what it accepted cannot say that it accepted nothing.
        if self._device not in task.committee.witnesses or (
            cell is None and task.began + 1 <= self._asked.born
        ):
            return cell, _refusal(cell, ask.task, Refused.UNKNOWN)
        if cell is not None and cell.task != task and not _succeeds(task, cell):
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN)
        known = cell if cell is not None and cell.task == task else _begin(task, cell)
        ended = replace(known, sealed=known.sealed or ask.successor, slots=())
        return ended, self._sealed(ended)

    def _owns(self, task: Task) -> bool:
        return self._kin or self._asked.peer == task.owner

    def _sealed(self, cell: Cell) -> Sealed:
        return Sealed(
            task=cell.task.id,
            generation=cell.task.committee.generation,
            successor=cell.sealed,
            epoch=cell.epoch,
            accepted=cell.accepted,
            wait_seconds=_whole(self._left(cell.span)),
        )

    def _free(self, cell: Cell, ask: FreeLease) -> Decided:
        peer = self._asked.peer
        if (ask.epoch, peer, ask.attempt) == _held(cell):
            cell = replace(cell, span=None, held=None, slots=())
        elif ask.epoch == cell.epoch:
            cell = replace(cell, slots=tuple(s for s in cell.slots if s.holder != peer))
        return cell, _epoch(cell)

    def _propose(self, cell: Cell, ask: Propose) -> Decided:
        refused = self._not_holder(cell, ask.epoch)
        if refused is not None:
            return cell, _refusal(cell, ask.task, refused, self._left(cell.span))
        made = _made(ask.output, cell.task, self._asked.peer)
        if made is None or made.epoch != cell.epoch or cell.held not in (None, made.output):
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN)
        return self._grant(replace(cell, span=self._span(cell.task, ask.seconds), held=made.output))

    def _not_holder(self, cell: Cell, epoch: int) -> Refused | None:
        if epoch < cell.epoch:
            return Refused.STALE
        if epoch > cell.epoch:
            return Refused.UNKNOWN  # it was not asked for that lease
        return None if cell.holder == self._asked.peer else Refused.BUSY

    def _slot(self, cell: Cell, ask: AskSlot) -> Decided:
        peer, left = self._asked.peer, self._left(cell.span)
        if ask.epoch < cell.epoch:
            return cell, _refusal(cell, ask.task, Refused.STALE, left)
        if ask.epoch > cell.epoch or cell.held != ask.output or left <= 0:
            return cell, _refusal(cell, ask.task, Refused.UNKNOWN, left)
        drawn = invites_to(ask.invite, cell.task, (ask.epoch, ask.output), peer)
        if peer == cell.holder or not drawn:
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN, left)
        others = tuple(slot for slot in cell.slots if slot.holder != peer)
        waits = [self._left(slot) for slot in others if self._left(slot) > 0]
        if len(waits) >= needed(cell.task) + SPARE_SLOTS:
            return cell, _refusal(cell, ask.task, Refused.FULL, min(waits))
        # Those whose time ran out are remembered while there is room: their verdicts count.
        if len(others) == MAX_SLOTS:
            others = tuple(s for s in others if s is not min(others, key=self._left))
        taken = replace(cell, slots=(*others, self._span(cell.task, ask.seconds)))
        return self._grant(taken, slot=True)

    def _commit(self, cell: Cell, ask: AskCommit) -> Decided:
        accepted = cell.accepted
        if accepted is not None and accepted.output != ask.output:
            return cell, _refusal(cell, ask.task, Refused.COMMITTED)
        # What was carried over from an earlier generation stands at the base: it needs proof.
        if accepted is not None and accepted.epoch == ask.epoch > cell.task.committee.epoch_base:
            return cell, _ack(cell, accepted)
        if ask.epoch < cell.epoch:
            return cell, _refusal(cell, ask.task, Refused.STALE, self._left(cell.span))
        if ask.epoch > cell.epoch:
            return cell, _refusal(cell, ask.task, Refused.UNKNOWN)
        if not self._proven(cell, ask):
            return cell, _refusal(cell, ask.task, Refused.UNPROVEN, self._left(cell.span))
        value = Accepted(ask.epoch, ask.output)
        return replace(cell, accepted=value), _ack(cell, value)

    def _proven(self, cell: Cell, ask: AskCommit) -> bool:
        """Whether the evidence lets this value be accepted at the cell's epoch.

        Either the epoch's holder signed it, or the run's owner finishes what was accepted at an
        earlier epoch: only an owner may do that, and does it when the holder reports such a value.
        Whoever else asks can show verdicts of those alone who had a slot here: no worker picks a
        friend as its judge.
        """
        owns = self._asked.peer == cell.task.owner
        judges = {slot.holder for slot in cell.slots}
        said = [
            entry
            for entry in ask.evidence
            if is_count(entry)
            and (entry.kind is not Kind.VERDICT or owns or entry.author in judges)
        ]
        for entry in _outputs(ask.evidence, ask.output):
            assert isinstance(entry.body, Output)
            fresh = entry.body.epoch == cell.epoch and entry.author == cell.holder
            if fresh and cell.held not in (None, ask.output):
                continue
            finished = entry.body.epoch < cell.epoch and owns
            if (fresh or finished) and satisfied(cell.task, entry, said):
                return True
        return False

    def _grant(self, cell: Cell, *, slot: bool = False) -> Decided:
        span = cell.slots[-1] if slot else cell.span
        assert span is not None
        grant = Grant(
            task=cell.task.id,
            generation=cell.task.committee.generation,
            epoch=cell.epoch,
            holder=span.holder,
            seconds=span.seconds,
            accepted=cell.accepted,
            slot=slot,
        )
        return cell, grant

    def _span(self, task: Task, seconds: int) -> Span:
        bounded = max(1, min(seconds, task.lease_seconds))
        return Span(holder=self._asked.peer, at=self._now, seconds=bounded)

    def _left(self, span: Span | None) -> float:
        return 0.0 if span is None else span.left(self._now, self._booted)


def _begin(task: Task, old: Cell | None) -> Cell:
    """The cell of a generation that begins here: epochs go on, a carried value is accepted."""
    committee = task.committee
    return Cell(
        task=task,
        epoch=max(committee.epoch_base, 0 if old is None else old.epoch),
        accepted=Accepted(committee.epoch_base, committee.bound) if committee.bound else None,
    )


def _held(cell: Cell) -> tuple[int, DeviceId | None, int]:
    """Which lease this is: two attempts of one device may ask for one epoch."""
    return cell.epoch, cell.holder, cell.attempt


def _succeeds(task: Task, cell: Cell) -> bool:
    """Whether `task` is a later generation of what the cell is about, by the same person."""
    later = task.committee.generation > cell.task.committee.generation
    return later and may_succeed(task, cell.task)


def _shows_kinship(asked: WitnessAsked, verify: VerifySignature) -> bool:
    """Whether the peer shows that the owner whom the task names certified it, too."""
    request = asked.request
    if not isinstance(request, AskLease | Seal) or not request.certificate:
        return False
    task = request.entry.body
    return isinstance(task, Task) and is_certified(
        task.owner_key, asked.peer, request.certificate, verify
    )


def _whole(seconds: float) -> int:
    return min(MAX_LEASE_SECONDS, int(seconds) + (seconds > int(seconds)))


def _made(entry: Entry, task: Task, worker: DeviceId) -> Output | None:
    body = entry.body
    if isinstance(body, Output) and body.task == task.id and entry.author == worker:
        return body
    return None


def _outputs(evidence: Iterable[Entry], sha: str) -> list[Entry]:
    return [e for e in evidence if isinstance(e.body, Output) and e.body.output == sha]


def _epoch(cell: Cell) -> EpochRead:
    return EpochRead(task=cell.task.id, epoch=cell.epoch, accepted=cell.accepted)


def _ack(cell: Cell, accepted: Accepted) -> Ack:
    return Ack(
        task=cell.task.id,
        generation=cell.task.committee.generation,
        epoch=accepted.epoch,
        output=accepted.output,
    )


def _refusal(cell: Cell | None, task: TaskId, why: Refused, left: float = 0.0) -> Refusal:
    return Refusal(
        task=task,
        reason=why,
        epoch=0 if cell is None else cell.epoch,
        wait_seconds=_whole(left),
        accepted=None if cell is None else cell.accepted,
    )
