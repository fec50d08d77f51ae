"""A device's hands: carry effects out on the network, the shelf and the agents.

What is done at once is done by whoever brings it; the rest goes to the node's loop with one wake-up
and becomes a short task each. What comes of it is posted back as an event. Nothing decides here.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pockethive.actors.acquainted import Acquainted
from pockethive.actors.alive import PING_METHOD, PING_SECONDS, process_of
from pockethive.actors.bridge import LoopBridge
from pockethive.actors.egress import Egress
from pockethive.actors.entries import Entries
from pockethive.actors.entry_reader import EntryReader
from pockethive.actors.orders import Crew, failed
from pockethive.actors.patience import Patience
from pockethive.actors.publishing import Publishing
from pockethive.actors.questions import Questions
from pockethive.actors.roster import Roster
from pockethive.actors.run_list import RunList
from pockethive.actors.shelf import Shelf
from pockethive.actors.witnessing import Asks
from pockethive.actors.workbench import Workbench
from pockethive.core.canonical import from_text, to_text
from pockethive.core.effects import (
    AskOwner,
    AskWitness,
    CancelTimer,
    CloseQuestion,
    Effect,
    FinishRun,
    KeepBlob,
    KeepOutput,
    KeepStanding,
    ListRun,
    Meet,
    OpenBlob,
    Ping,
    PlanGoal,
    PostNotice,
    Publish,
    PublishAll,
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
    Spare,
    StopSkill,
    Tell,
    WorkHere,
)
from pockethive.core.entry import Kind, Notice
from pockethive.core.errors import ActorFailure, NetworkError, PocketHiveError
from pockethive.core.events import (
    ChecksFailed,
    EntryArrived,
    Event,
    GraphPlanned,
    MessageArrived,
    OutputKept,
    PingAnswered,
    PlanningFailed,
    SendFailed,
    ShardRead,
    TaskRead,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.labels import Label
from pockethive.core.lease import WitnessAnswer
from pockethive.core.message import AskOffer
from pockethive.core.message_codec import decode_message, encode_message
from pockethive.core.notice import MAX_SHARD
from pockethive.core.report import Happening, Outcome
from pockethive.core.task import DeviceId, RunId, task_key
from pockethive.dht.contact import Contact
from pockethive.dht.node import Node
from pockethive.dht.record import Record
from pockethive.planners.context import Plan

_log = logging.getLogger(__name__)

MESSAGE_METHOD = "message"
_SHARD_HOLDERS = 3  # of eight: it is read again and again, and a notice gives no right
_WHOLE = frozenset((Kind.TASK, Kind.OUTPUT, Kind.COMMIT))
"""What a reader needs of a task that was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the hands reach for."""

    node: Node
    egress: Egress
    entries: Entries
    asks: Asks
    roster: Roster
    shelf: Shelf
    workbench: Workbench
    crew: Crew
    questions: Questions
    runs: RunList
    post: Callable[[Event, str | None], None]  # to the interpreter; never blocks
    planned: Callable[[RunId, Plan], None]
    finished: Callable[[Outcome], None]
    told: Callable[[Happening], None]
    stood: Callable[[KeepStanding], None]  # keeps what was seen of a device
    clock: Callable[[], float]  # lease clock, seconds


class NodeHands:
    """`perform` may be called from any thread; agents and the network are asked on `loop`."""

    def __init__(self, around: Surroundings, loop: asyncio.AbstractEventLoop) -> None:
        self._around, self._loop = around, loop
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._bridge = LoopBridge(loop)
        seed = around.node.settings.randbytes(16)
        self._patience = Patience(seed)
        self._known = known = Acquainted()
        self._reader = EntryReader(around.node, around.entries)
        self._publishing = Publishing(around.node, around.egress, around.entries, known)
        self._ways: dict[type, Callable[[Any], Coroutine[Any, Any, None]]] = {
            PlanGoal: self._plan,
            Publish: self._publish,
            PublishAll: self._publish_all,
            AskWitness: self._ask,
            Send: self._send,
            Ping: self._ping,
            RunSkill: self._run_skill,
            RunReplica: self._run_skill,
            RunChecks: self._run_checks,
            KeepOutput: self._keep_output,
            AskOwner: around.questions.ask,
            CloseQuestion: around.questions.close,
            PostNotice: self._post,
            RemoveNotice: self._unpost,
            SeekOffer: self._seek,
            ListRun: lambda effect: around.runs.add(effect.claim),
        }

    def perform(self, effects: Sequence[tuple[str, Effect]]) -> None:
        """Begin effects. After `close`, those for the loop are dropped with a line in the log."""
        left = [(machine, effect) for machine, effect in effects if not self._done(effect)]
        if left:
            try:
                self._bridge.hand(partial(self._begin, left))
            except ActorFailure as error:
                _log.debug("%d effects were dropped: %s", len(left), error)

    @property
    def under_way(self) -> int:
        """Effects begun and not ended. Any thread."""
        return self._bridge.under_way

    async def close(self) -> None:
        """Forget timers, cancel what is under way. On the loop."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        self._bridge.close()

    def _done(self, effect: Effect) -> bool:
        """Do what any thread may do at once; False for everything else."""
        try:
            match effect:
                case Tell(happening=happening):
                    self._around.told(happening)
                case WorkHere():
                    self._around.crew.work_here(effect)
                case FinishRun(outcome=outcome):
                    self._around.finished(outcome)
                case KeepBlob(data=data, label=label):
                    self._around.shelf.keep(data, Label(label))
                case SignEntry(kind=kind, body=body, expires=expires):
                    _, entry = self._around.entries.sign(kind, body, expires)
                    self._around.post(EntryArrived(entry=entry), None)
                case OpenBlob(output=output):
                    self._around.shelf.open(output)
                case KeepStanding():
                    self._around.stood(effect)
                case StopSkill(task=task, epoch=epoch):
                    self._around.crew.stop(task, epoch)
                case _:
                    return False
        except Exception:  # noqa: BLE001 - a fault of one effect is no fault of the next
            _log.exception("%s failed", type(effect).__name__)
        return True

    def _begin(self, effects: Sequence[tuple[str, Effect]]) -> None:
        """On the loop: set timers, let the rest run."""
        for machine, effect in effects:
            match effect:
                case SetTimer(name=name, at=at):
                    self._set_timer(name, at)
                case CancelTimer(name=name):
                    self._cancel_timer(name)
                case ReadTask():
                    self._run(effect, self._read_for(machine, effect))
                case ReadShard(shard=shard):
                    self._run(effect, self._look_for(machine, shard))
                case Meet(entry=entry):
                    self._around.roster.welcome(entry)
                case Spare():
                    self._publishing.spare(effect)
                case _:
                    self._run(effect, self._ways[type(effect)](effect))

    def _run(self, effect: Effect, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._bridge.begin(work, partial(_ended, effect))
        except ActorFailure as error:
            _log.debug("%s was dropped: %s", type(effect).__name__, error)

    async def _read_for(self, machine: str, effect: ReadTask) -> None:
        task = effect.task
        entries = self._reader.held(task) if effect.here else ()
        if not {entry.kind for entry in entries} >= _WHOLE:
            entries = await self._reader.at(task_key(task), task)
        self._around.post(TaskRead(task=task, entries=entries), machine)

    async def _ping(self, effect: Ping) -> None:
        process = await self._answers(effect.device)
        alive, said = process is not None, process or ""
        self._around.post(PingAnswered(device=effect.device, alive=alive, process=said), None)

    async def _plan(self, effect: PlanGoal) -> None:
        try:
            plan = await self._around.crew.plan(effect.goal)
        except PocketHiveError as error:
            self._around.post(PlanningFailed(run=effect.run, reason=str(error)), None)
            return
        self._around.planned(effect.run, plan)
        self._around.post(GraphPlanned(run=effect.run, graph=plan.graph), None)

    async def _publish(self, effect: Publish) -> None:
        entry = await self._publishing.publish(effect, self._patience)
        self._around.post(EntryArrived(entry=entry), None)

    async def _publish_all(self, effect: PublishAll) -> None:
        said = [(each.body, each.expires) for each in effect.entries]
        for record, entry in self._around.entries.sign_all(said):
            await self._patience.retried(partial(self._around.egress.publish, record))
            self._around.post(EntryArrived(entry=entry), None)

    async def _post(self, effect: PostNotice) -> None:
        record, _ = self._around.entries.sign(Kind.NOTICE, effect.notice, effect.expires)
        await self._put_notice(record)

    async def _unpost(self, effect: RemoveNotice) -> None:
        entries, notice = self._around.entries, effect.notice
        await self._put_notice(entries.tombstone(Kind.NOTICE, notice, effect.expires))

    async def _put_notice(self, record: Record) -> None:
        """Once: a notice is posted again while it is due, and expires when it is not."""
        try:
            await self._around.egress.publish(record)
        except PocketHiveError as error:
            _log.info("the bulletin did not take a notice: %s", error)

    async def _look_for(self, machine: str, shard: int) -> None:
        around = self._around
        key = around.entries.shard_key(shard)
        found = await self._reader.at(key, f"shard {shard}", _SHARD_HOLDERS)
        notices = tuple(e.body for e in found[:MAX_SHARD] if isinstance(e.body, Notice))
        around.post(ShardRead(shard=shard, notices=notices), machine)

    async def _seek(self, effect: SeekOffer) -> None:
        """Get to know the author of a notice, then ask it for the offer."""
        roster = self._around.roster
        try:
            await roster.introduce(effect.owner)
            if roster.advert is None:
                return
            data = encode_message(AskOffer(key=effect.key, entry=roster.advert))
            await self._around.egress.tell(self._reach(effect.owner), MESSAGE_METHOD, data)
        except PocketHiveError as error:
            _log.info("%s was not asked for an offer: %s", effect.owner[:8], error)

    async def _ask(self, effect: AskWitness) -> None:
        answer: WitnessAnswer | None = None
        try:
            asks, witness = self._around.asks, effect.witness
            decide = partial(self._around.egress.decide, self._reach(witness))
            spelled = partial(asks.sent, effect.request, witness)
            answer = asks.checked(await self._known.say(witness, spelled, decide), witness)
        except PocketHiveError as error:
            _log.info("witness %s gave no answer: %s", effect.witness[:8], error)
        self._around.post(
            WitnessAnswered(ask=effect.ask, witness=effect.witness, answer=answer), None
        )

    async def _send(self, effect: Send) -> None:
        async def tell(data: bytes) -> bytes:
            return await self._patience.retried(
                lambda: self._around.egress.tell(self._reach(effect.to), MESSAGE_METHOD, data)
            )

        try:
            await self._known.say(effect.to, partial(encode_message, effect.message), tell)
        except PocketHiveError as error:
            _log.info("%s did not take a message: %s", effect.to[:8], error)
            self._around.post(SendFailed(to=effect.to, message=effect.message), None)

    async def _answers(self, device: DeviceId) -> str | None:
        """Which process of a device answers, with machines that live; None where none does."""
        if device == self._around.entries.device:
            return ""
        there = self._reach(device)
        try:
            answer = await self._around.egress.tell(there, PING_METHOD, b"", timeout=PING_SECONDS)
        except NetworkError:
            return None
        return process_of(answer)

    async def _run_skill(self, effect: RunSkill | RunReplica) -> None:
        task = effect.task
        try:
            remarks = effect.remarks if isinstance(effect, RunSkill) else ""
            work = await self._around.workbench.work(
                task, self._around.entries.device, effect.inputs, remarks
            )
        except PocketHiveError as error:
            reason = f"its inputs could not be fetched: {error}"
            self._around.post(failed(effect, reason), None)
            return
        self._around.crew.do(effect, work)

    async def _run_checks(self, effect: RunChecks) -> None:
        task, output = effect.task, effect.output
        try:
            work = await self._around.workbench.work(task, output.author, effect.inputs)
            value = await self._around.workbench.produced(output, task.label)
        except PocketHiveError as error:
            sha = getattr(output.body, "output", "")
            reason = f"the output could not be fetched: {error}"
            self._around.post(ChecksFailed(task=task.id, output=sha, reason=reason), None)
            return
        self._around.crew.check(effect, work, value)

    async def _keep_output(self, effect: KeepOutput) -> None:
        task, output = effect.task, effect.output
        try:
            await self._around.workbench.produced(output, task.label)
        except PocketHiveError as error:
            _log.info("no copy of an output of %s: %s", task.id, error)
            kept = False
        else:
            kept = True
        sha = getattr(output.body, "output", "")
        self._around.post(OutputKept(task=task.id, output=sha, kept=kept), None)

    async def message_arrived(self, peer: bytes, data: bytes) -> bytes:
        """The node's handler of direct messages; this device's own take the same way."""
        sender = DeviceId(to_text(peer))
        message = decode_message(data, self._known.hearing(sender, self._around.entries.open))
        self._around.post(MessageArrived(sender=sender, message=message), None)
        return b""

    def _reach(self, device: DeviceId) -> Contact | bytes:
        """A contact if the device introduced itself, else its key for the DHT to find."""
        return self._around.roster.contact(device) or from_text(device, 32)

    def _set_timer(self, name: str, at: float) -> None:
        self._cancel_timer(name)
        delay = max(0.0, at - self._around.clock())
        self._timers[name] = self._loop.call_later(delay, self._fire, name)

    def _cancel_timer(self, name: str) -> None:
        handle = self._timers.pop(name, None)
        if handle is not None:
            handle.cancel()

    def _fire(self, name: str) -> None:
        self._timers.pop(name, None)
        self._around.post(TimerFired(name=name), None)


def _ended(effect: Effect, task: asyncio.Task[None]) -> None:
    name = type(effect).__name__
    if task.cancelled():
        _log.debug("%s was cancelled", name)
    elif (error := task.exception()) is not None:
        _log.error("%s failed: %s", name, error, exc_info=error)
