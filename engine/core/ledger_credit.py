"""The ledger's book of credit: whose outputs may go unchecked, and what is done when one cheated.

Guards: a waiver is for the first output of an adaptive task alone, so nobody draws twice; what a
caught device had on credit in a run that is still open is done anew, with all that was made of it;
verifiers are asked in the same way whether or not the device has credit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pockethive.core.ballot import votes
from pockethive.core.credibility import Credit, Seen, Standing, drawn, seen, trust
from pockethive.core.effects import Effect, KeepStanding
from pockethive.core.entry import Entry, Kind, Member, Output, Waiver
from pockethive.core.fields import clip
from pockethive.core.ledger_desk import Desk
from pockethive.core.ledger_doubts import DoubtDesk
from pockethive.core.ledger_state import RunState, TaskState
from pockethive.core.lifecycle import Status
from pockethive.core.ruling import asks
from pockethive.core.task import DeviceId, RunId
from pockethive.core.verification import needed, satisfied

MAX_KNOWN = 10_000  # devices and model classes; those known longest give way

Effects = Iterator[Effect]
Anew = Callable[[RunState, TaskState, DeviceId, float], Effects]
"""Do a task anew because of what that device had made on credit."""


class CreditDesk:
    """Standings of one owner. `secret`: of the owner; without one nothing is ever waived."""

    def __init__(
        self, desk: Desk, secret: bytes, runs: Mapping[RunId, RunState], anew: Anew
    ) -> None:
        self._desk, self._secret, self._runs, self._anew = desk, secret, runs, anew
        self._standings: dict[tuple[DeviceId, str], Standing] = {}
        self._doubts = DoubtDesk(runs)

    def read(self, credits_: Iterable[Credit]) -> None:
        """What was known before this process began."""
        for credit in credits_:
            self._keep((credit.device, credit.model), credit.standing)

    def meet(self, members: Sequence[Member]) -> None:
        """The devices of the hive have changed."""
        self._doubts.meet(members)

    @property
    def known(self) -> tuple[Credit, ...]:
        """Every standing, as it is now."""
        return tuple(
            Credit(device=device, model=model, standing=standing)
            for (device, model), standing in self._standings.items()
        )

    def trusts(self, state: TaskState, device: DeviceId, model: str) -> bool:
        """Whether what a device makes of an adaptive task at this epoch is taken on its credit."""
        if not (self._secret and state.task.verification.adaptive and needed(state.task)):
            return False
        known = self._standings.get((device, model), Standing())
        return drawn(self._secret, state.id, state.epoch) < trust(known)

    def proposed(self, state: TaskState, now: float) -> Effects:
        """An output was made: waive its verdicts if its maker is trusted and the draw says so."""
        if self._waives(state):
            made, worker = state.made, state.holder
            assert worker is not None
            body = Waiver(task=state.id, epoch=made.epoch, output=made.output, worker=worker)
            yield from self._desk.publish(state, Kind.WAIVER, body, now)

    def awaits(self, state: TaskState) -> bool:
        """Whether a waiver of the output is on its way."""
        going = None if state.publishing is None else state.publishing.body
        return isinstance(going, Waiver) and going.output == state.made.output

    def stored(self, run: RunState, state: TaskState, entry: Entry, now: float) -> Effects:
        """A waiver stands: it counts in place of verdicts."""
        waiver = entry.body
        assert isinstance(waiver, Waiver)
        state.verdicts[entry.digest] = entry
        told = f"taken on credit of {waiver.worker[:8]}"
        state.tell(now, told)
        yield self._desk.happened(run, state, "credited", waiver.worker, "")

    def committed(self, state: TaskState) -> Effects:
        """An output was committed: if others have verified it, that is to its maker's credit."""
        otherwise = votes(state.task) or asks(state.task)  # a person's word is to nobody's credit
        if needed(state.task) and state.waiver is None and not otherwise:
            self._doubts.saw(state, state.made_by, valid=True)
            self._doubts.judged(state, accepted=True)
            yield from self._saw(state, Seen.VALID, "")

    def rejected(self, state: TaskState, reason: str, now: float) -> Effects:
        """More devices rejected an output than were wanted to accept it."""
        key = (state.made_by, state.made.model)
        self._doubts.saw(state, state.made_by, valid=False)
        self._doubts.judged(state, accepted=False)
        yield from self._caught(key, f"{state.task.name} was rejected: {reason}", now)

    def agreed(self, state: TaskState, key: tuple[DeviceId, str]) -> Effects:
        """A device voted for the answer that won."""
        self._doubts.saw(state, key[0], valid=True)
        yield from self._keep_seen(key, Seen.VALID, "")

    def outvoted(
        self, state: TaskState, key: tuple[DeviceId, str], reason: str, now: float
    ) -> Effects:
        """A device answered otherwise than those who agreed, or than it had pledged."""
        self._doubts.saw(state, key[0], valid=False)
        yield from self._caught(key, f"{state.task.name}: {reason}", now)

    def silent(self, state: TaskState, key: tuple[DeviceId, str]) -> Effects:
        """A device pledged an answer and did not show it: that proves nothing, but ends its row."""
        if self._standings.get(key, Standing()).in_a_row:
            reason = f"{state.task.name}: it did not open its pledge"
            yield from self._keep_seen(key, Seen.WITHDRAWN, reason)

    def withdrawn(self, state: TaskState, reason: str) -> Effects:
        """Its maker takes an unjudged output back. That shows nothing, but earns no trust, either:
        else who sees that he is checked would take back what is wrong."""
        if state.output is None or not state.task.verification.adaptive:
            return
        known = self._standings.get((state.made_by, state.made.model), Standing())
        if known.in_a_row and not satisfied(state.task, state.output, state.verdicts.values()):
            yield from self._saw(state, Seen.WITHDRAWN, f"{state.task.name}: {reason}")

    def _waives(self, state: TaskState) -> bool:
        task, made = state.task, state.made
        if not (self._secret and task.verification.adaptive and task.verification.checks):
            return False
        if not needed(task) or len(state.outputs) > 1:
            return False
        if state.publishing is not None or state.sealing is not None:
            return False
        known = self._standings.get((state.made_by, made.model), Standing())
        return drawn(self._secret, state.id, made.epoch) < trust(known)

    def _caught(self, key: tuple[DeviceId, str], reason: str, now: float) -> Effects:
        """It made something wrong; what it has on credit in runs that go on is done anew."""
        yield from self._keep_seen(key, Seen.INVALID, reason)
        for run in list(self._runs.values()):
            for task in on_credit_of(run, *key):
                yield from self._anew(run, task, key[0], now)

    def _saw(self, state: TaskState, what: Seen, reason: str) -> Effects:
        yield from self._keep_seen((state.made_by, state.made.model), what, reason)

    def _keep_seen(self, key: tuple[DeviceId, str], what: Seen, reason: str) -> Effects:
        self._keep(key, seen(self._standings.get(key, Standing()), what))
        yield KeepStanding(device=key[0], model=key[1], seen=what, reason=clip(reason))

    def _keep(self, key: tuple[DeviceId, str], standing: Standing) -> None:
        self._standings.pop(key, None)
        self._standings[key] = standing
        if len(self._standings) > MAX_KNOWN:
            del self._standings[next(iter(self._standings))]


def on_credit_of(run: RunState, device: DeviceId, model: str) -> list[TaskState]:
    """Tasks of a run that goes on whose outputs were taken on that credit, and those that read
    them or may have, sources first."""
    found: list[TaskState] = []
    wrong: set[str] = set()
    for task in run.graph.tasks if run.goes_on else ():
        state = run.tasks[task.name]
        if _on_credit(state, device, model) or _has_read(state, wrong):
            found.append(state)
            wrong.add(task.name)
    return found


def _on_credit(state: TaskState, device: DeviceId, model: str) -> bool:
    """Whether a waiver of this task stands, or is on its way, for what the device made."""
    going = () if state.publishing is None else (state.publishing.body,)
    waivers = [*(entry.body for entry in state.verdicts.values()), *going]
    waived = {each.output for each in waivers if isinstance(each, Waiver) and each.worker == device}
    return any(
        isinstance(entry.body, Output)
        and entry.author == device
        and entry.body.model == model
        and entry.body.output in waived
        for entry in state.outputs.values()
    )


def _has_read(state: TaskState, wrong: set[str]) -> bool:
    sources = wrong.intersection(state.planned.sources)
    if not sources or state.status is Status.WAITING:
        return False
    if state.output is None:  # it was offered with what was committed then
        return True
    return not sources.isdisjoint(name for name, _ in state.made.inputs)
