"""The ledger's way of a task that is voted on: replicas, pledges, openings, the ballot.

Guards: nothing that an answer could be copied from leaves the owner's device before the ballot
stands; a device has one vote; a vote ends after `MAX_ANSWERS` devices; as in `ledger_work`, what is
refused leaves a task as it was.
"""

from collections.abc import Iterator, Sequence

from pockethive.core.ballot import MAX_ANSWERS, opens, votes, wanted
from pockethive.core.effects import Effect, Send
from pockethive.core.entry import Ballot, Entry, Kind, Member, Pledge, Waiver
from pockethive.core.ledger_credit import CreditDesk
from pockethive.core.ledger_doubts import doubted
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.ledger_work import NOBODY_SECONDS, WorkDesk, committed_inputs
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import AskOpening, Counted, Made, Opened, Progress, Replicate
from pockethive.core.people import voters
from pockethive.core.task import DeviceId
from pockethive.core.voting import m_first

BEGIN_SECONDS = 4.0  # a device that did not begin by then gets company
SLOW_SECONDS = 30.0  # one that did, but has not pledged
ASK_AGAIN_SECONDS = 2.0
OPEN_SECONDS = 10.0  # who has not opened its pledge by then does not vote

Effects = Iterator[Effect]


class VoteDesk:
    """Brings claimed tasks to a ballot. Changes the states it is given and nothing else."""

    def __init__(self, work: WorkDesk, credit: CreditDesk) -> None:
        self._work, self._desk, self._credit = work, work.desk, credit
        self._members: tuple[Member, ...] = ()

    def meet(self, members: Sequence[Member]) -> None:
        """The devices of the hive have changed."""
        self._members = tuple(members)

    def told(
        self,
        run: RunState,
        state: TaskState,
        device: DeviceId,
        message: Made | Progress | Opened,
        now: float,
    ) -> Effects:
        """What devices say that concerns a vote."""
        vote = state.vote
        if not votes(state.task) or not state.open:
            return
        match message:
            case Made(entry=entry) if isinstance(entry.body, Pledge):
                yield from self._pledged(run, state, entry, now)
            case Opened():
                yield from self._opened(run, state, device, message, now)
            case Progress(state="claimed"):
                yield from self._claimed(state, device, now)
            case Progress(state="checking") if device in vote.asked:
                state.checking |= {device}
            case Progress(state="unchecked", reason=reason) if device in vote.awaited:
                vote.refuse(device, now)
                state.tell(now, f"{device[:8]} could not do it again: {reason}")

    def _claimed(self, state: TaskState, device: DeviceId, now: float) -> Effects:
        """A device has the lease: its answer is awaited, and that of earlier holders no more."""
        vote = state.vote
        if not self._goes_on(state) or device != state.holder:
            return
        waiver = None if vote.counted is None else vote.counted.body
        if isinstance(waiver, Waiver) and waiver.epoch != state.epoch:
            vote.counted = None  # what was trusted there did not come
        vote.gone |= vote.holders - vote.pledges.keys()
        vote.gone.discard(device)
        vote.holders.add(device)
        if device in voters(state.task, self._members, (device,), tuple(vote.asked)):
            self._awaits(state, device, now)
        alone = vote.asked.keys() == {device} and not vote.pledges
        if alone and self._credit.trusts(state, device, vote.models[device]):
            vote.on_credit = state.epoch
        yield from self._tell(state)

    def _pledged(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """Somebody has an answer. Of one that was not asked, or pledges again, it is none."""
        vote, device = state.vote, entry.author
        assert isinstance(entry.body, Pledge)
        if device == state.holder:
            state.heard_at = now
        if vote.counted is not None:
            if device == state.holder or device in vote.won:
                yield Send(to=device, message=Counted(task=state.id, entry=vote.counted))
        elif device in vote.asked and device not in vote.pledges:
            vote.pledges[device] = entry
            vote.gone.discard(device)
            state.tell(now, f"{device[:8]} pledged an answer")
            yield self._desk.happened(run, state, "pledged", device, "")

    def _opened(
        self, run: RunState, state: TaskState, device: DeviceId, opening: Opened, now: float
    ) -> Effects:
        """Somebody shows what it had pledged."""
        vote = state.vote
        pledge = vote.pledges.get(device)
        if pledge is None or vote.counted is not None or device not in vote.to_open:
            return
        if device in vote.openings or device in vote.gone:
            return
        if opens(pledge, opening.nonce, opening.output):
            vote.openings[device] = opening
            return
        vote.gone.add(device)
        vote.caught.add(device)
        reason = "it showed another answer than it had pledged"
        state.tell(now, f"{device[:8]}: {reason}")
        yield self._desk.happened(run, state, "rejected", device, reason)
        yield from self._credit.outvoted(state, (device, vote.models[device]), reason, now)
        if state.open and device == state.holder:
            yield from self._work.retry(run, state, reason, now)

    def stored(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """A ballot stands, or the waiver of one."""
        if isinstance(entry.body, Ballot):
            yield from self._counted(run, state, entry, now)
            return
        yield from self._credit.stored(run, state, entry, now)
        if state.vote.on_credit == state.epoch:
            state.vote.counted, state.vote.ask_at = entry, now + ASK_AGAIN_SECONDS
            yield from self._tell(state)

    def _counted(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """The ballot stands: credit who agreed; the holder signs, or goes if it is outvoted."""
        vote, ballot = state.vote, entry.body
        assert isinstance(ballot, Ballot)
        vote.counted = entry
        counted = (vote.pledges[device] for device, _ in ballot.votes)
        state.verdicts.update((each.digest, each) for each in (entry, *counted))
        right, wrong = vote.won, sorted(vote.outvoted - vote.caught)
        told = f"{len(right)} of {len(vote.openings)} devices answered alike"
        state.tell(now, told)
        yield self._desk.happened(run, state, "verified", None, told)
        for device in right:
            yield from self._credit.agreed(state, (device, vote.models[device]))
        for device in wrong:
            reason = f"{len(right)} devices agreed on another answer"
            yield self._desk.happened(run, state, "rejected", device, reason)
            yield from self._credit.outvoted(state, (device, vote.models[device]), reason, now)
        if not state.open:  # it was itself made of what is done anew
            return
        for device in right:
            yield Send(to=device, message=Counted(task=state.id, entry=entry))
        vote.ask_at = now + ASK_AGAIN_SECONDS
        if state.holder in vote.outvoted:
            yield from self._work.retry(run, state, "its answer was outvoted", now)

    def tend(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Ask for answers and openings that are still missing; count them once m agree."""
        vote, holder = state.vote, state.holder
        if not self._goes_on(state):
            return
        if vote.counted is not None:
            if now >= vote.ask_at:
                vote.ask_at = now + ASK_AGAIN_SECONDS
                yield from self._tell(state)
            return
        if state.publishing is not None or holder is None:
            return
        if holder in vote.gone and holder not in vote.openings:
            yield from self._work.retry(run, state, "its holder does not show its answer", now)
            return
        if vote.on_credit == state.epoch:
            yield from self._taken(state, now)
            return
        least = wanted(state.task)
        answers = ((device, opening.output) for device, opening in vote.openings.items())
        winner = m_first(answers, least)
        if winner is not None:
            yield from self._count(state, winner, now)
            return
        lacking = least - max(vote.sizes.values(), default=0)
        yield from self._open(state, lacking, now)
        yield from self._ask(run, state, lacking, now)

    def ask_again(self, run: RunState, state: TaskState, now: float) -> Effects:
        """After a restart: whoever was asked, and has not pledged, may have restarted, too."""
        vote = state.vote
        vote.ask_at = now
        for device in sorted(vote.awaited - vote.pledges.keys() - {state.holder}):
            vote.asked[device] = now
            yield Send(to=device, message=self._replicate(run, state))

    def _count(self, state: TaskState, winner: str, now: float) -> Effects:
        """Publish the ballot of the first m who agree, the holder before the others."""
        vote = state.vote
        ordered = sorted(vote.voters(winner), key=lambda device: device != state.holder)
        voters = sorted(ordered[: wanted(state.task)])
        body = Ballot(
            task=state.id,
            output=winner,
            votes=tuple((device, vote.openings[device].nonce) for device in voters),
        )
        yield from self._desk.publish(state, Kind.BALLOT, body, now)

    def _taken(self, state: TaskState, now: float) -> Effects:
        """Have the trusted holder's answer opened, and waive the vote."""
        vote, holder = state.vote, state.holder
        assert holder is not None
        opening = vote.openings.get(holder)
        if opening is None:
            yield from self._open(state, 1, now)
        elif self._credit.trusts(state, holder, vote.models[holder]):
            body = Waiver(task=state.id, epoch=state.epoch, output=opening.output, worker=holder)
            yield from self._desk.publish(state, Kind.WAIVER, body, now)
        else:
            vote.on_credit = 0

    def _open(self, state: TaskState, lacking: int, now: float) -> Effects:
        """Ask for openings once as many pledges are in as could decide; again, not for ever."""
        vote = state.vote
        ready = sorted(vote.awaited & vote.pledges.keys())
        for device in ready:
            if now > vote.to_open.get(device, now) + OPEN_SECONDS:
                vote.gone.add(device)
                state.tell(now, f"{device[:8]} did not open its pledge")
                yield from self._credit.silent(state, (device, vote.models[device]))
        ready = [device for device in ready if device not in vote.gone]
        fresh = [device for device in ready if device not in vote.to_open]
        if len(ready) < lacking or (not fresh and now < vote.ask_at):
            return
        if now >= vote.ask_at:
            fresh, vote.ask_at = ready, now + ASK_AGAIN_SECONDS
        for device in fresh:
            vote.to_open.setdefault(device, now)
            pledge = vote.pledges[device].body
            assert isinstance(pledge, Pledge)
            yield Send(to=device, message=AskOpening(task=state.id, pledge=pledge.pledge))

    def _ask(self, run: RunState, state: TaskState, lacking: int, now: float) -> Effects:
        """Ask as many devices as are lacking, and one more for each that is slow."""
        vote = state.vote
        busy = vote.awaited - self._work.lost
        late = [d for d in sorted(busy - vote.pledges.keys()) if self._is_slow(state, d, now)]
        tired = {d for d, at in vote.refused.items() if now < at + ASK_AGAIN_SECONDS}
        away = self._work.lost | tired
        living = [each.device for each in self._members if each.device not in away]
        known = (*vote.asked, *vote.gone, *vote.holders)
        fresh = voters(state.task, self._members, living, known, doubted(run))
        room = max(0, MAX_ANSWERS - len(vote.asked))
        missing = max(0, lacking + len(late) - len(busy))
        for device in fresh[: min(missing, room)]:
            self._awaits(state, device, now)
            run.cost.begun += 1
            yield Send(to=device, message=self._replicate(run, state))
        for device in late:
            if device != state.holder and vote.remind(device, now, begun=device in state.checking):
                yield Send(to=device, message=self._replicate(run, state))
        if len(busy) >= lacking or (missing and fresh and room):
            state.nobody_since = None
        else:
            yield from self._nobody(run, state, now)

    def _awaits(self, state: TaskState, device: DeviceId, now: float) -> None:
        model = next((m.model for m in self._members if m.device == device), "")
        state.vote.models[device] = model if state.task.needs_model else ""
        state.vote.asked[device] = now

    def _nobody(self, run: RunState, state: TaskState, now: float) -> Effects:
        """Nobody else can be asked: wait a little for somebody, then end the task."""
        vote = state.vote
        full = len(vote.asked) >= MAX_ANSWERS
        patience = NOBODY_SECONDS
        if vote.awaited & self._work.lost or vote.refused.keys() - vote.asked.keys() - vote.gone:
            patience = max(patience, state.task.lease_seconds)  # who may come back, or have room
        if state.nobody_since is None:
            state.nobody_since = now
        if not full and now < state.nobody_since + patience:
            return
        given, different = len(vote.openings), len(vote.sizes)
        least = wanted(state.task)
        if given > 1:
            reason = f"{given} devices gave {different} different answers, no {least} of them alike"
        else:
            reason = f"{least} devices that can do it are wanted, and there are not as many here"
        yield from self._desk.close(run, state, Move.FAIL, reason, now)

    def _is_slow(self, state: TaskState, device: DeviceId, now: float) -> bool:
        begun = device in state.checking or device in state.vote.holders
        patience = SLOW_SECONDS if begun else BEGIN_SECONDS
        return now > state.vote.asked[device] + patience

    def _replicate(self, run: RunState, state: TaskState) -> Replicate:
        assert state.entry is not None
        inputs = state.vote.inputs
        return Replicate(
            task=state.id,
            epoch=state.epoch,
            entry=state.entry,
            inputs=committed_inputs(run, state) if inputs is None else inputs,
        )

    def _goes_on(self, state: TaskState) -> bool:
        return votes(state.task) and state.status is Status.CLAIMED

    def _tell(self, state: TaskState) -> Effects:
        """Let the holder know how it ended."""
        if state.vote.counted is not None and state.holder is not None:
            message = Counted(task=state.id, entry=state.vote.counted)
            yield Send(to=state.holder, message=message)
