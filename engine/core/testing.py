"""A table at which whole runs are played: every machine, a network and a clock, none of them real.

For tests of whoever writes machines, planners or skills against the protocol. The network delays,
loses and doubles; devices die at a given moment; agents take as long as they are told to. One seed
gives one play, so a failure is repeated by its seed. Bytes pass through the real codecs.
"""

import heapq
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from math import inf

from pockethive.core.effects import (
    AskOwner,
    AskWitness,
    CancelTimer,
    Effect,
    FinishRun,
    KeepOutput,
    Meet,
    Ping,
    PlanGoal,
    PostNotice,
    Publish,
    ReadShard,
    ReadTask,
    RemoveNotice,
    RunChecks,
    RunReplica,
    RunSkill,
    SeekOffer,
    Send,
    SetTimer,
    SignEntry,
    forwarded,
)
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.errors import Failure, ProtocolError
from pockethive.core.events import (
    CreditsRead,
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphPlanned,
    MembersChanged,
    MessageArrived,
    OutputKept,
    PingAnswered,
    SendFailed,
    ShardRead,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import WitnessAnswer
from pockethive.core.lease_codec import decode_answer, decode_request, encode_answer, encode_request
from pockethive.core.message import AskOffer
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.polling import jitter
from pockethive.core.ports import VerifySignature
from pockethive.core.report import Outcome
from pockethive.core.table_bulletin import Bulletin
from pockethive.core.table_entries import opened_entry, signed_bytes, task_of
from pockethive.core.table_plan import (
    Line,
    Sign,
    TablePlan,
    agent_done,
    boasts,
    check_done,
    owner_says,
    plan_members,
    sign_answer,
)
from pockethive.core.table_seat import seat
from pockethive.core.task import DeviceId, RunId, TaskId
from pockethive.core.witness import Witness, WitnessAsked

WALL = 1_900_000_000.0  # unix time at the table's second 0
UNANSWERED_SECONDS = 1.0  # when a question to nobody counts as unanswered
HEARD_SECONDS = 1.0  # in which who comes is heard of by all
PING_TRIES = 3  # a node repeats a request until its time is up


class Table:
    """The first devices of the plan own the runs. To look at: `transcript`, `dropped`, `outcomes`.

    `entries` are those that stand, by task and digest. `watch` is shown every line in place of the
    transcript, where that would be long.
    """

    def __init__(self, plan: TablePlan, sign: Sign, verify: VerifySignature) -> None:
        self.plan, self.now = plan, 0.0
        self.transcript: list[Line] = []
        self.entries: dict[TaskId, dict[str, Entry]] = {}
        self.outcomes: dict[DeviceId, Outcome] = {}
        self.watch: Callable[[Line], None] = self.transcript.append
        self.dropped: list[ProtocolError] = []
        self.bulletin = Bulletin()
        late = {*plan.strangers, *plan.arrivals}
        self._members = {member.device: member for member in plan_members(plan)}
        self._known = [m for m in self._members.values() if m.device not in late]
        self._telling = False
        self._sign, self._verify = sign, verify
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._cells: dict[tuple[DeviceId, TaskId], bytes] = {}
        self._timers: dict[tuple[DeviceId, str, str], int] = {}
        self._graphs: dict[RunId, TaskGraph] = {}
        self._machines = {device: tuple(seat(plan, device, verify)) for device in plan.devices}

    def run(self, graph: TaskGraph, seconds: float = 600.0) -> Outcome:
        """Play a run of `graph` to its end.

        Raises:
            Failure: it did not end within `seconds`; names the seed.
        """
        self.play([graph], seconds)
        return next(reversed(self.outcomes.values()))

    def play(self, graphs: Sequence[TaskGraph], seconds: float = 600.0) -> None:
        """Play a run of each graph, given by one owner each, to the end of all. Raises as `run`."""
        for device in self.plan.devices:
            self._later(0.0, device, MembersChanged(members=tuple(self._known)))
        for device, at in self.plan.arrivals.items():
            self._at(at, partial(self._come, device))
        for number, (owner, graph) in enumerate(zip(self.plan.devices, graphs, strict=False)):
            name = f"{self.plan.seed} {number}" if number else self.plan.seed
            run = RunId(sha256(name.encode()).hexdigest()[:32])
            self._graphs[run] = graph
            self._later(0.0, owner, CreditsRead(credits=self.plan.credits))
            self._later(0.01, owner, GoalSubmitted(run=run, goal="play", wall=WALL + 0.01))
        while self._queue and not self.ended(len(graphs)) and self.now <= seconds:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        if not self.ended(len(graphs)):
            raise Failure(f"no end in {seconds:g} s", where=f"seed {self.plan.seed}")

    def ended(self, runs: int) -> bool:
        """Whether so many runs have ended, and nothing more is to be seen."""
        return len(self.outcomes) >= runs

    @property
    def outcome(self) -> Outcome | None:
        """The first owner's, once there is one."""
        return self.outcomes.get(self.plan.devices[0])

    def open_entry(self, wire: bytes) -> Entry:
        """The entry behind its signed bytes. Raises BadSignature."""
        return opened_entry(wire, self._verify)

    # the clock and the dice

    def _at(self, at: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, action))

    def _later(self, delay: float, device: DeviceId, event: Event, to: str | None = None) -> None:
        self._at(self.now + delay, lambda: self.feed(device, event, to))

    def _chance(self) -> float:
        self._count += 1
        return jitter(self.plan.seed, self._count)

    def _delay(self) -> float:
        return self.plan.latency * (0.5 + self._chance())

    def _alive(self, device: DeviceId) -> bool:
        begin, end = self.plan.arrivals.get(device, 0.0), self.plan.crashes.get(device, inf)
        return begin <= self.now < end

    def _answers(self, device: DeviceId) -> bool:
        return self._alive(device) and self.plan.wakes(device, self.now) == self.now

    def _local(self, device: DeviceId) -> float:
        return self.now * self.plan.rates.get(device, 1.0)

    def _lost(self, one: DeviceId, other: DeviceId | None) -> bool:
        return self._chance() < self.plan.loss or self.plan.cut(one, other, self.now)

    # the interpreter

    def feed(self, device: DeviceId, event: Event, to: str | None = None) -> None:
        """Tell a device something now: one of its machines, or all; and what follows at once."""
        wakes = self.plan.wakes(device, self.now)
        if wakes > self.now:
            self._at(wakes, lambda: self.feed(device, event, to))
            return
        if not self._alive(device):
            return
        for claim in boasts(self.plan, device, event):
            self._send(device, claim)
        waiting: list[tuple[str | None, Event]] = [(to, event)]
        while waiting:
            target, current = waiting.pop(0)
            for machine in self._machines[device]:
                if target not in (None, machine.name):
                    continue
                try:
                    effects = machine.handle(current, self._local(device))
                except ProtocolError as error:  # as the interpreter does: it was nobody's event
                    self.dropped.append(error)
                    continue
                at, name = self.now, machine.name
                self.watch(Line(at=at, device=device, machine=name, event=current, effects=effects))
                for effect in effects:
                    told = forwarded(effect)
                    if told is None:
                        self._perform(device, machine.name, effect)
                    else:
                        waiting.append((None, told))

    def _perform(  # noqa: C901 - one line per effect
        self, device: DeviceId, machine: str, effect: Effect
    ) -> None:
        match effect:
            case PlanGoal(run=run):
                self._later(0.1, device, GraphPlanned(run=run, graph=self._graphs[run]))
            case FinishRun(outcome=outcome):
                self.outcomes[device] = outcome
            case Publish():
                self._publish(device, effect)
            case SignEntry():
                self._later(0.0, device, EntryArrived(entry=self._signed(device, effect)))
            case ReadTask(task=task):
                self._read(device, machine, task)
            case AskWitness():
                self._ask(device, machine, effect)
            case Send():
                self._send(device, effect)
            case PostNotice() | RemoveNotice():
                self.bulletin.post(effect)
            case ReadShard(shard=shard):
                found = self.bulletin.read(device, shard, self.now, WALL)
                self._later(self._delay(), device, ShardRead(shard=shard, notices=found), machine)
            case SeekOffer(key=key, owner=owner):
                ask = AskOffer(key=key, entry=self._introduction(device))
                self._send(device, Send(to=owner, message=ask))
            case Meet(entry=entry):
                self._meet(device, entry)
            case Ping(device=other):
                lost = all(self._lost(device, other) for _ in range(PING_TRIES))
                alive = self._answers(other) and not lost
                pause = self._delay() if alive else UNANSWERED_SECONDS
                self._later(pause, device, PingAnswered(device=other, alive=alive), machine)
            case SetTimer(name=name, at=at):
                self._set_timer(device, machine, name, at)
            case CancelTimer(name=name):
                self._timers.pop((device, machine, name), None)
            case RunSkill() | RunReplica() | RunChecks():
                self._agent(device, effect)
            case KeepOutput():
                self._keep(device, effect)
            case AskOwner():
                for pause, event in owner_says(self.plan, effect):
                    self._later(pause, device, event, machine)

    def _set_timer(self, device: DeviceId, machine: str, name: str, at: float) -> None:
        self._count += 1
        number, key = self._count, (device, machine, name)
        self._timers[key] = number

        def fire() -> None:
            if self._timers.get(key) == number:
                del self._timers[key]
                self.feed(device, TimerFired(name=name), machine)

        self._at(max(self.now, at / self.plan.rates.get(device, 1.0)), fire)

    # the network

    def _publish(self, device: DeviceId, effect: Publish) -> None:
        entry = self._signed(device, effect)
        if self._lost(device, None):
            return  # the nodes nearest to the key could not be reached
        task = task_of(entry)

        def stored() -> None:
            self.entries.setdefault(task, {})[entry.digest] = entry
            self.feed(device, EntryArrived(entry=entry), None)

        self._at(self.now + self._delay(), stored)

    def _signed(self, device: DeviceId, effect: Publish | SignEntry) -> Entry:
        return self.open_entry(signed_bytes(device, effect, self._sign))

    def _introduction(self, device: DeviceId) -> Entry:
        own, expires = self._members[device], int(WALL + self.now) + 3_600
        return self._signed(device, Publish(kind=Kind.MEMBER, body=own, expires=expires))

    def _come(self, device: DeviceId) -> None:
        """A device joins. Those who come within a second are heard of together."""
        self._known.append(self._members[device])
        self._later(0.0, device, MembersChanged(members=tuple(self._known)))
        if not self._telling:
            self._telling = True
            self._at(self.now + HEARD_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling, members = False, tuple(self._known)
        for device in self.plan.devices:
            self._later(self._delay(), device, MembersChanged(members=members))

    def _meet(self, device: DeviceId, entry: Entry) -> None:
        """A device lets a stranger in; the others hear of it when they would."""
        member = entry.body
        assert isinstance(member, Member)
        if member not in self._known:
            self._known.append(member)
            for each in self.plan.devices:
                pause = 0.0 if each == device else self._delay()
                self._later(pause, each, MembersChanged(members=tuple(self._known)))

    def _read(self, device: DeviceId, machine: str, task: TaskId) -> None:
        def read() -> None:
            lost = self._lost(device, None)
            found = () if lost else tuple(self.entries.get(task, {}).values())
            self.feed(device, TaskRead(task=task, entries=found), machine)

        self._at(self.now + self._delay(), read)

    def _send(self, device: DeviceId, effect: Send) -> None:
        data = encode_message(effect.message)

        def arrive() -> None:
            message = decode_message(data, self.open_entry)
            self.feed(effect.to, MessageArrived(sender=device, message=message), None)

        pause = self._delay()
        lost = self._lost(device, effect.to)
        if lost or not self._answers(effect.to):
            failed = SendFailed(to=effect.to, message=effect.message)
            self._later(UNANSWERED_SECONDS, device, failed)
            if not lost and self._alive(effect.to):
                self._at(self.now, arrive)  # it is asleep, and hears it when it wakes
            return
        self._at(self.now + pause, arrive)
        if self._chance() < self.plan.doubled:
            self._at(self.now + pause + 3 * self._delay(), arrive)

    def _ask(self, device: DeviceId, machine: str, effect: AskWitness) -> None:
        data, witness = encode_request(effect.request), effect.witness

        def answered(answer: WitnessAnswer | None) -> WitnessAnswered:
            return WitnessAnswered(ask=effect.ask, witness=witness, answer=answer)

        def arrive() -> None:
            wakes = self.plan.wakes(witness, self.now)
            if wakes > self.now:
                self._later(UNANSWERED_SECONDS, device, answered(None), machine)
                self._at(wakes, decide)
            elif not self._alive(witness):
                self._later(UNANSWERED_SECONDS, device, answered(None), machine)
            else:
                decide()

        def decide() -> None:
            answer = self._decide(device, witness, data)
            if self._lost(witness, device):
                self._later(UNANSWERED_SECONDS, device, answered(None), machine)
            else:
                self._later(self._delay(), device, answered(answer), machine)

        if self._lost(device, witness):
            self._later(UNANSWERED_SECONDS, device, answered(None), machine)
            return
        self._at(self.now + self._delay(), arrive)
        if self._chance() < self.plan.doubled:
            self._at(self.now + 3 * self._delay(), arrive)

    def _decide(self, peer: DeviceId, witness: DeviceId, data: bytes) -> WitnessAnswer:
        request = decode_request(data, self.open_entry)
        key = (witness, request.task)
        asked = WitnessAsked(peer=peer, request=request, born=WALL - 1.0)
        cell, answer = Witness(witness, self._verify).decide(
            self._cells.get(key), asked, WALL + self._local(witness)
        )
        if cell is not None:
            self._cells[key] = cell
        return decode_answer(encode_answer(sign_answer(answer, witness, self._sign)))

    # the agents

    def _agent(self, device: DeviceId, effect: RunSkill | RunReplica | RunChecks) -> None:
        plan = self.plan
        if isinstance(effect, RunChecks):
            self._later(plan.check_seconds, device, check_done(plan, device, effect))
            return
        seconds = plan.durations.get(effect.task.name, plan.work_seconds)
        done = agent_done(plan, device, effect)
        self._later(seconds * (0.8 + 0.4 * self._chance()), device, done)

    def _keep(self, device: DeviceId, effect: KeepOutput) -> None:
        """A copy comes from its maker, if that is there."""
        task, maker = effect.task.id, effect.output.author
        sha = getattr(effect.output.body, "output", "")
        kept = self._answers(maker) and not self._lost(device, maker)
        self._later(2 * self._delay(), device, OutputKept(task=task, output=sha, kept=kept))
