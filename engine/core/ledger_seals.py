"""The ledger replaces witnesses: it seals a task's generation and goes on with those that live.

Guards: nothing is offered under new witnesses before a quorum of the old ones has sealed, both
entries stand, and no old lease can run. While seals can still be had, no task is lost for want of
witnesses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pockethive.core.effects import Effect, ReadTask
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import Seal, Sealed, Yes, seal_bytes
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_opening import LedgerSettings
from pockethive.core.ledger_state import RunState, SealRound, TaskState
from pockethive.core.lifecycle import Move, Status
from pockethive.core.ports import VerifySignature
from pockethive.core.rendezvous import choose_committee
from pockethive.core.sealing import Succession, sealing, succession, successor
from pockethive.core.signed import signed_by
from pockethive.core.watch import Watch

AGAIN_SECONDS = 2.0  # after a round in which too few witnesses sealed
ROUNDS = 5

Effects = Iterator[Effect]


class SealDesk:
    """Changes the states it is given and nothing else."""

    def __init__(
        self, desk: Desk, watch: Watch, settings: LedgerSettings, verify: VerifySignature
    ) -> None:
        self._desk, self._watch, self._verify = desk, watch, verify
        self._owner_key, self._certificate = settings.owner_key, settings.certificate

    def foreign(self, state: TaskState) -> bool:
        """Whether the task is still another device's, from whom this one takes it over."""
        return state.task.owner != self._desk.device

    def wanted(self, state: TaskState) -> bool:
        """Whether the witnesses are split, too few, or one more that is gone would make them so.

        What is being worked on is left alone while a quorum lives: it would have to be done anew.
        One that is only lost may be restarting, and its memory is durable. Nothing is won by haste:
        where no quorum answers, none seals.
        """
        if not state.open or state.status is Status.WAITING:
            return False
        if not self._watch.gone:
            return state.split
        committee = state.task.committee
        live = sum(witness not in self._watch.gone for witness in committee.witnesses)
        near = live < len(committee.witnesses) and live <= committee.quorum
        return state.split or live < committee.quorum or (near and state.status is Status.READY)

    def begin(self, state: TaskState, members: Sequence[Member], now: float) -> Effects:
        """Ask the witnesses to make way for a committee of devices that live."""
        gone = {*self._watch.lost, *({state.task.owner} if self.foreign(state) else ())}
        present = [member for member in members if member.device not in gone]
        unsteady = self._watch.unsteady(now)
        heir = choose_committee(present, self._desk.device, self._owner_key, unsteady)
        lost = sum(w in self._watch.lost for w in state.task.committee.witnesses)
        why = "they disagree" if state.split else f"{lost} do not answer"
        why = f"{state.task.owner[:8]} kept it before" if self.foreign(state) else why
        state.tell(now, f"replacing its witnesses: {why}")
        state.sealing = SealRound(
            heir=heir, poll=self._desk.poll(state, now), rounds=1, ask_at=now + AGAIN_SECONDS
        )
        yield from self._questions(state, state.sealing)

    def tend(
        self, run: RunState, state: TaskState, members: Sequence[Member], now: float
    ) -> Effects:
        """See whether the seals suffice; ask the silent again, but not for ever.

        In the end the task is `hopeless`: what it was to do has to be planned anew.
        """
        if state.sealing is None:
            yield from self.begin(state, members, now)
            return
        going = state.sealing
        if going.next_task is not None:
            return
        left = self._left(state, going)
        if left is not None:
            yield from self._decided(run, state, going, left, now)
        elif now >= going.ask_at and going.rounds < ROUNDS:
            going.rounds += 1
            going.poll, going.ask_at = self._desk.poll(state, now), now + AGAIN_SECONDS
            yield from self._questions(state, going)
            if self._unsure(state, going):
                yield ReadTask(task=state.id)
        elif now >= going.ask_at:
            state.sealing = None
            need, of = state.task.committee.quorum, len(state.task.committee.witnesses)
            state.hopeless = f"only {len(going.seals)} of {of} witnesses sealed it, {need} must"

    def _unsure(self, state: TaskState, going: SealRound) -> bool:
        """Whether the DHT may know more: a value that nobody here can prove, a later generation."""
        named = any(seal.accepted is not None for seal in going.seals.values())
        return named or self.foreign(state)

    def answered(self, state: TaskState, event: WitnessAnswered) -> None:
        """A witness's answer to the request for a seal."""
        going = state.sealing
        if going is None or not going.poll.take(event, lambda yes: self._good(state, event, yes)):
            return
        answer = event.answer  # one for another successor, or badly signed, is heard and is no seal
        if isinstance(answer, Sealed) and self._good(state, event, answer):
            going.seals[event.witness] = answer

    def stored(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """An entry of the next generation stands: first the seals, then the task."""
        going = state.sealing
        if going is None or going.next_task is None or state.entry is None:
            return
        if entry.kind is Kind.SEAL:
            state.heritage += (state.entry, entry)
            yield from self._desk.publish(state, Kind.TASK, going.next_task, now)
            return
        state.entry, task = entry, going.next_task
        if state.status not in (Status.READY, Status.WAITING):
            state.may(Move.RETRY)
            state.move(Move.RETRY, now, "its lease ended with its witnesses")
        state.task, state.sealing, state.split = task, None, False
        state.holder = state.output = None
        state.begin_round()
        state.offer_anew(max(now, going.offer_at))
        count, generation = len(task.committee.witnesses), task.committee.generation
        told = (
            f"generation {generation}: {count} witnesses, epochs from {task.committee.epoch_base}"
        )
        state.tell(now, told)
        yield self._desk.happened(run, state, "resealed", None, told)

    def _left(self, state: TaskState, going: SealRound) -> Succession | None:
        """What the old generation leaves, once that is certain enough.

        A few liars may have invented the value; a few more seals would show it. One that nobody
        can prove would bind the next generation for ever: without it, or not at all.
        """
        left = succession(state.task.committee, going.seals.values(), state.task.lease_seconds)
        if left is None or not left.bound:
            return left
        state.adopt(left.bound)
        if state.proven(left.bound):
            return left
        return None

    def _decided(
        self, run: RunState, state: TaskState, going: SealRound, left: Succession, now: float
    ) -> Effects:
        committee = replace(
            going.heir,
            generation=state.task.committee.generation + 1,
            epoch_base=left.base,
            bound=left.bound,
        )
        going.next_task = replace(state.task, committee=committee)
        if self.foreign(state):
            going.next_task = replace(
                going.next_task, owner=self._desk.device, certificate=self._certificate
            )
        going.offer_at, going.ask_at = now + left.wait, float("inf")
        body = sealing(sorted(going.seals.items()))
        yield self._desk.happened(run, state, "sealed", None, f"{len(body.votes)} witnesses sealed")
        yield from self._desk.publish(state, Kind.SEAL, body, now)

    def _questions(self, state: TaskState, going: SealRound) -> Effects:
        assert state.entry is not None
        request = Seal(
            task=state.id,
            generation=state.task.committee.generation,
            successor=self._successor(state, going),
            entry=state.entry,
            certificate=self._certificate if self.foreign(state) else "",
        )
        silent = set(state.task.committee.witnesses) - going.seals.keys()
        yield from (each for each in going.poll.questions(request) if each.witness in silent)

    def _successor(self, state: TaskState, going: SealRound) -> str:
        return successor(going.heir, self._desk.device if self.foreign(state) else None)

    def _good(self, state: TaskState, event: WitnessAnswered, yes: Yes) -> bool:
        going, task = state.sealing, state.task
        if going is None or not isinstance(yes, Sealed):
            return False
        wanted = (task.id, task.committee.generation, self._successor(state, going))
        if (yes.task, yes.generation, yes.successor) != wanted:
            return False
        return signed_by(event.witness, seal_bytes(yes), yes.signature, self._verify)
