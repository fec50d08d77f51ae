"""What the ledger knows of its runs and tasks. Plain state; the decisions are in `ledger`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from sys import intern
from typing import Any

from pockethive.core.ballot import votes
from pockethive.core.credibility import Standing
from pockethive.core.effects import Publish
from pockethive.core.entry import Body, Entry, Output, Ruling, Verdict
from pockethive.core.graph import Outcome, TaskGraph
from pockethive.core.lease import Sealed
from pockethive.core.ledger_agenda import Agenda
from pockethive.core.lifecycle import Move, Status, step
from pockethive.core.polling import Poll
from pockethive.core.question import Question
from pockethive.core.report import TaskReport
from pockethive.core.seldom import Seldom
from pockethive.core.task import Committee, DeviceId, EdgeKind, PlannedTask, RunId, Task, TaskId
from pockethive.core.verification import accepting, evidence, satisfied, waived
from pockethive.core.vote import Vote

MAX_STORY = 64
FIRST_WAVE = 3
REPEAT_SECONDS = 6.0  # between two offers to one device; then twice as long, and so on
SILENT_LEASES = 1.5  # a holder says that it works with every renewal, three times a lease


@dataclass(slots=True, kw_only=True)
class SealRound:
    """A generation that is being ended in favour of `heir`. Times are by the lease clock.

    `seals`: those had so far, by witness, over all rounds. `ask_at`: when the silent are asked
    again. `next_task`: once decided; it is published, and offered from `offer_at` on.
    """

    heir: Committee
    poll: Poll
    rounds: int
    ask_at: float
    seals: dict[DeviceId, Sealed] = field(default_factory=dict)
    next_task: Task | None = None
    offer_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Local:
    """What there is of a task that no other device has part in. Nothing of it is signed yet.

    `queued`: it waits for the agents. `inputs`: what they were given. `said`: its entries.
    """

    queued: bool = False
    inputs: tuple[tuple[str, str], ...] = ()
    made: Output | None = None
    said: tuple[Body, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class TaskState:
    """One task of a run. `now`-times are seconds of the lease clock."""

    planned: PlannedTask
    task: Task
    place: int  # in the graph's order
    began: float
    local: Local | None = None  # as long as it concerns this device alone
    entry: Entry | None = None
    status: Status = Status.WAITING
    story: tuple[str, ...] = ()
    failures: int = 0
    returns = Seldom[int](int)  # how often a device gave it back: it does not lend itself any more
    failed = Seldom[list[str]](list)  # of each failure: who, and why
    claims: int = 0
    holder: DeviceId | None = None
    epoch: int = 0
    given_back = Seldom[int](int)  # the epoch that its holder gave back; older words may follow
    soft_at: float = inf  # when its holder is asked to yield, and
    hard_at: float = inf  # when the attempt has failed, while it is claimed
    yields = Seldom[int](int)  # how many holders were asked, each
    yielding = Seldom[int](int)  # at this epoch
    overtaken = Seldom[dict[DeviceId, int]](dict)  # given back, and never claimed
    heard_at: float = 0.0  # when the holder last said that it works
    blamed = Seldom[list[DeviceId]](list)  # whose lease or output failed
    offered: frozenset[DeviceId] = frozenset()  # as the next two: one is shared by most tasks
    least_inputs = Seldom[frozenset[str]](frozenset)  # committed when it was first offered
    wave: int = FIRST_WAVE  # how many devices it is offered to next, one after another
    turn: int = 0  # whose turn it is among them
    offer_at: float = 0.0  # not offered (again) before
    repeat_at: float = 0.0  # nor before this to those that it was offered to
    repeat: float = REPEAT_SECONDS  # the pause after that
    repeating: bool = False  # this round is for all of them
    nobody_since: float | None = None
    patience: float | None = None  # its device stopped answering: how long that is borne
    output: Entry | None = None  # under verification
    outputs = Seldom[dict[str, Entry]](dict)  # by digest
    verdicts = Seldom[dict[str, Entry]](dict)  # and waivers
    found = Seldom[dict[str, Entry]](dict)  # outputs and verdicts read in the DHT
    asked = Seldom[dict[DeviceId, float]](dict)  # verifiers, and when
    checking: frozenset[DeviceId] = frozenset()
    declined: frozenset[DeviceId] = frozenset()
    vote = Seldom[Vote](Vote)  # where its answer is voted on
    question = Seldom[Question](Question)  # where its owner is asked
    keepers = Seldom[dict[DeviceId, float]](dict)  # asked to hold it, and when
    kept: frozenset[DeviceId] = frozenset()  # those that do
    keep_until: float | None = None  # until when a commit waits for them
    commit_poll: Poll | None = None
    commit_epoch = Seldom[int](int)
    commit_at = Seldom[float](float)
    commit_attempts = Seldom[int](int)
    polls = Seldom[int](int)  # questions to all its witnesses so far; numbers them
    publish_at: float = 0.0
    publishing: Publish | None = None  # sent again until it stands
    end: Entry | None = None  # the commit or close as it stands in the DHT
    sealing: SealRound | None = None
    hopeless = Seldom[str](str)  # why its witnesses can never end it: it is planned anew
    unproven = Seldom[str](str)  # the output that a holder was shown and nobody here could prove
    split = Seldom[bool](bool)  # its witnesses hold values that no quorum can agree on
    heritage = Seldom[list[Entry]](list)  # earlier generations and their seals
    reason: str = ""
    rare: dict[str, Any] | None = None  # what is `Seldom`

    @property
    def id(self) -> TaskId:
        """The task's id."""
        return self.task.id

    @property
    def open(self) -> bool:
        """Nothing has ended it yet."""
        return not self.status.ended

    @property
    def sha(self) -> str:
        """The hash of the output under verification; empty where there is none."""
        if self.local is not None and self.local.made is not None:
            return self.local.made.output
        return "" if self.output is None else self.made.output

    @property
    def made(self) -> Output:
        """What the output under verification says."""
        assert self.output is not None
        assert isinstance(self.output.body, Output)
        return self.output.body

    @property
    def made_by(self) -> DeviceId:
        """Who made the output under verification."""
        assert self.output is not None
        return self.output.author

    @property
    def waiver(self) -> Entry | None:
        """The waiver that its output is committed with, if not with verdicts."""
        if self.output is None:
            return None
        said = self.verdicts.values()
        waiver = waived(self.task, self.output, said)
        return waiver if waiver in evidence(self.task, self.output, said) else None

    def may(self, move: Move) -> None:
        """Raise IllegalMove if `move` would; change nothing."""
        step(self.id, self.status, move, self.story)

    def move(self, move: Move, now: float, story: str) -> None:
        """Follow the lifecycle table. Raises IllegalMove with the story."""
        self.status = step(self.id, self.status, move, self.story)
        self.tell(now, story)

    def tell(self, now: float, story: str) -> None:
        """Add a line to the story; the oldest lines but the first give way."""
        line = intern(f"{now - self.began:.1f} s: {story}")  # many say the same
        kept = self.story if len(self.story) < MAX_STORY else (self.story[0], *self.story[2:])
        self.story = (*kept, line)

    def verifiers(self) -> set[DeviceId]:
        """Devices that were asked for a verdict on the output or a vote, and have not answered."""
        said = {entry.author for entry in self.verdicts_on(self.output)}
        return set(self.asked) - said - self.declined | self.vote.awaited

    def verdicts_on(self, output: Entry | None) -> tuple[Entry, ...]:
        """The verdicts about one output entry."""
        made = None if output is None else output.body
        if not isinstance(made, Output):
            return ()
        return tuple(
            entry
            for entry in self.verdicts.values()
            if isinstance(entry.body, Verdict)
            and (entry.body.epoch, entry.body.output) == (made.epoch, made.output)
        )

    def unreached(self, device: DeviceId, now: float) -> None:
        """What a device was asked did not reach it."""
        self.declined |= {device}
        self.vote.refuse(device, now)

    def offer_anew(self, at: float) -> None:
        """From `at` on it is offered to all who can do it, whether they had an offer or not."""
        self.turn, self.offer_at, self.repeat_at = 0, at, at
        self.offered = frozenset()
        self.repeat = REPEAT_SECONDS

    def begin_round(self) -> None:
        """Another output, or another committee: nobody has been asked about it yet."""
        self.asked, self.checking, self.declined = {}, frozenset(), frozenset()
        self.commit_poll, self.commit_attempts, self.patience = None, 0, None
        self.keepers, self.kept, self.keep_until = {}, frozenset(), None
        self.question.begin_round()

    def proven(self, output: str = "") -> list[Entry]:
        """Outputs that were verified or taken on credit, and that witnesses may still take."""
        return [
            entry
            for entry in self.outputs.values()
            if isinstance(entry.body, Output)
            and output in ("", entry.body.output)
            and self.task.committee.bound in ("", entry.body.output)
            and satisfied(self.task, entry, self.verdicts.values())
        ]

    def adopt(self, output: str) -> None:
        """Take from what was read in the DHT what shows that witnesses rightly accepted `output`.

        Only for a value that they do hold: verdicts nobody asked for count for nothing else.
        """
        for entry in self.found.values():
            if isinstance(entry.body, Output) and entry.body.output == output:
                self.outputs.setdefault(entry.digest, entry)
            elif isinstance(entry.body, Verdict | Ruling) and entry.body.output == output:
                self.verdicts.setdefault(entry.digest, entry)

    def report(self) -> TaskReport:
        """The task's end for the coordinator, with its receipts."""
        if self.local is not None:
            return self._local_report(self.local)
        committed = self.status is Status.COMMITTED
        output = self.output if committed else None
        accepted = () if output is None else accepting(self.task, output, self.verdicts.values())
        receipts = (*self.heritage, self.entry, output, *self.verdicts.values(), self.end)
        return TaskReport(
            name=self.task.name,
            id=self.id,
            task=self.task,
            status=self.status.value,
            worker=None if output is None else output.author,
            epoch=self.epoch,
            attempts=max(self.claims, self.failures),
            output=None if output is None else self.made.output,
            holders=()
            if output is None
            else tuple(
                dict.fromkeys(
                    (output.author, *(entry.author for entry in accepted), *sorted(self.kept))
                )
            ),
            on_credit=committed and self.waiver is not None,
            asked=self.question.unanswered,
            reason=self.reason,
            receipts=tuple(entry for entry in receipts if entry is not None),
            story=self.story,
        )

    def _local_report(self, local: Local) -> TaskReport:
        made = local.made
        return TaskReport(
            name=self.task.name,
            id=self.id,
            task=self.task,
            status=self.status.value,
            worker=None if made is None else self.holder,
            epoch=self.epoch,
            attempts=max(self.claims, self.failures),
            output=None if made is None else made.output,
            holders=() if made is None or self.holder is None else (self.holder,),
            on_credit=False,
            reason=self.reason,
            receipts=(),
            story=self.story,
            unsigned=local.said,
        )


@dataclass(slots=True, kw_only=True)
class Cost:
    """What a run has cost so far, wasted or not. `begun`: executions, votes and judgements."""

    tokens: int = 0
    begun: int = 0


@dataclass(slots=True, kw_only=True)
class RunState:
    """One open run. `began` is by the lease clock, `wall` the same moment as unix time."""

    id: RunId
    graph: TaskGraph
    began: float
    tasks: dict[str, TaskState]
    founders: frozenset[DeviceId] = frozenset()  # members when it began: they judge first
    agenda: Agenda = field(init=False)
    unfinished: set[int] = field(init=False)  # places of tasks that are open or being published
    busy: set[int] = field(default_factory=set)  # places of those that are offered or further
    doubts: dict[str, Standing] = field(default_factory=dict)  # of owners that were ever caught
    slow: set[DeviceId] = field(default_factory=set)  # asked to yield; made nothing in time since
    cost: Cost = field(default_factory=Cost)
    spent: str = ""  # the budget that is used up: nothing more is begun
    spent_at: float = 0.0
    ended_at: float | None = None
    retired: list[TaskState] = field(default_factory=list)  # planned anew; their ends must stand
    epoch: int = 0  # of its claim, where it was taken over
    closed: bool = False  # nobody wants anything more of it

    def __post_init__(self) -> None:
        self.agenda = Agenda(self.graph)
        self.unfinished = set(range(len(self.tasks)))

    @property
    def goes_on(self) -> bool:
        """Whether some task has yet to be reported, so that the run cannot have ended."""
        return not self.closed and any(
            state.open or _outcome(state) is Outcome.OPEN for state in self.tasks.values()
        )

    def at(self, place: int) -> TaskState:
        """The task of that place in the graph's order."""
        return self.tasks[self.graph.tasks[place].name]

    def touched(self, state: TaskState, now: float) -> None:
        """A task was looked at or changed: see when next, and who waits for what it has become."""
        if self.tasks[state.task.name] is not state:
            return  # another one has taken its place
        place, outcome = state.place, _outcome(state)
        self.agenda.wake(place, self._wake_at(state, now))
        self.agenda.told(place, outcome)
        _keep(self.unfinished, place, state.open or state.publishing is not None)
        under_way = state.open and state.status is not Status.WAITING and state.local is None
        _keep(self.busy, place, under_way)

    def _wake_at(self, state: TaskState, now: float) -> float:
        """When time alone may make something due; rather too early than too late."""
        times = [] if state.publishing is None else [state.publish_at]
        if state.sealing is not None:
            times.append(state.sealing.ask_at)
        elif (state.entry is not None or state.local is not None) and state.open:
            if state.patience is not None:
                times.append(state.patience)
            if state.status is Status.WAITING:
                times.extend(
                    max(now, self.began + edge.seconds)
                    for edge in state.task.after
                    if edge.kind is EdgeKind.ARRIVED_BY and now - self.began < edge.seconds
                )
            elif state.local is not None:
                times.append(state.offer_at if state.offer_at > now else inf)
            elif state.status is Status.READY:
                times.append(self.agenda.pace.look(state.place, state.offer_at, now))
            elif state.status is Status.CLAIMED and not votes(state.task):
                silent = state.heard_at + SILENT_LEASES * state.task.lease_seconds
                times.append(min(silent, state.soft_at, state.hard_at))
            else:
                times.append(now)
        return min(times, default=inf)

    def members_changed(self) -> bool:
        """Whether some task is to be looked at because devices came or went.

        That is what concerned this device alone until now, and what nobody known could do or judge.
        Of others the next offer, or the next round of those under way, sees who is there.
        """
        places = [
            state.place
            for state in map(self.at, self.unfinished)
            if state.local is not None or state.nobody_since is not None
        ]
        for place in places:
            self.agenda.mark(place)
        return bool(places)

    def has(self, names: Iterable[str]) -> bool:
        """Whether all these tasks were committed, as their dependants see it."""
        return all(_outcome(self.tasks[name]) is Outcome.COMMITTED for name in names)

    def outcomes(self, names: Iterable[str]) -> Mapping[str, Outcome]:
        """How tasks ended, as their dependants see it: a commit counts once it can be read."""
        return {name: _outcome(self.tasks[name]) for name in names}


def _keep(places: set[int], place: int, wanted: bool) -> None:
    (places.add if wanted else places.discard)(place)


def _outcome(state: TaskState) -> Outcome:
    if state.status is Status.COMMITTED:
        stands = state.end is not None or state.local is not None
        return Outcome.COMMITTED if stands else Outcome.OPEN
    return Outcome.FAILED if state.status.ended else Outcome.OPEN
