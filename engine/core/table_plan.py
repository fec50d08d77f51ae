"""What is played at the table of `pockethive.core.testing`: devices, faults, durations."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from pockethive.core.ballot import votes
from pockethive.core.canonical import to_text
from pockethive.core.credibility import Credit
from pockethive.core.effects import AskOwner, Effect, RunChecks, RunReplica, RunSkill, Send
from pockethive.core.entry import Member, Output
from pockethive.core.events import (
    ChecksDone,
    Event,
    MessageArrived,
    OwnerAnswered,
    QuestionShown,
    ReplicaDone,
    SkillDone,
)
from pockethive.core.lease import EpochRead, Refusal, WitnessAnswer, signed_part
from pockethive.core.message import Offer, Progress
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId

Sign = Callable[[DeviceId, bytes], bytes]
"""A device's signature (64 bytes) over a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What is played. Times are seconds; chances are from 0 to 1.

    `owners`: so many of the first devices give a run each. `crashes`: when a device dies.
    `arrivals`: when a device comes that was not there before; all hear of it.
    `liars`: devices whose outputs are wrong; checkers see it.
    `alike`: they all give the same wrong output, so that they can outvote others.
    `lies`: the tasks that liars lie about; empty: about all.
    `boasters`: devices that answer every offer by a claim to an epoch far away.
    `grudgers`: devices whose verdicts reject whatever they see.
    `durations`: how long a task's work takes, by task name. `sleeps`: spans in which a device is
    suspended: its clock goes on, what comes waits until it wakes. `cuts`: spans in which some
    devices reach neither the others nor the DHT. `rates`: how fast a device's clock runs.
    `certificates`: of the owner over devices that may go on with his runs.
    `secret`, `credits`: of the owner, and what he has seen of devices before.
    `strangers`: devices that the owner does not know; they look for work on the bulletin.
    `tokens`: what each output says it cost.
    `skilled`: who has any skill; empty: all.
    `models`: the class of a device's model; others have all the same one.
    `thinking`: how long the owner thinks about an output that he is asked about; he rejects lies.
    """

    seed: str
    devices: tuple[DeviceId, ...]
    owner_key: str
    skills: tuple[str, ...]
    checkers: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    latency: float = 0.02
    loss: float = 0.0
    doubled: float = 0.0
    owners: int = 1
    crashes: Mapping[DeviceId, float] = field(default_factory=dict)
    arrivals: Mapping[DeviceId, float] = field(default_factory=dict)
    liars: frozenset[DeviceId] = frozenset()
    lies: frozenset[str] = frozenset()
    alike: bool = False
    boasters: frozenset[DeviceId] = frozenset()
    grudgers: frozenset[DeviceId] = frozenset()
    durations: Mapping[str, float] = field(default_factory=dict)
    sleeps: Mapping[DeviceId, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    cuts: tuple[tuple[float, float, frozenset[DeviceId]], ...] = ()
    rates: Mapping[DeviceId, float] = field(default_factory=dict)
    strangers: frozenset[DeviceId] = frozenset()
    skilled: frozenset[DeviceId] = frozenset()
    work_seconds: float = 1.0
    check_seconds: float = 0.5
    certificates: Mapping[DeviceId, str] = field(default_factory=dict)
    tokens: int = 0
    models: Mapping[DeviceId, str] = field(default_factory=dict)
    thinking: float = 2.0
    secret: bytes = b""
    credits: tuple[Credit, ...] = ()

    def model_of(self, device: DeviceId) -> str:
        """The class of a device's model."""
        return self.models.get(device, "0" * 64)

    def wakes(self, device: DeviceId, at: float) -> float:
        """When a device notices what happens at `at`."""
        return next((b for a, b in self.sleeps.get(device, ()) if a <= at < b), at)

    def cut(self, one: DeviceId, other: DeviceId | None, at: float) -> bool:
        """Whether two devices, or a device and the DHT (None), cannot reach each other."""
        return any(a <= at < b and (one in s) != (other in s) for a, b, s in self.cuts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the transcript."""

    at: float
    device: DeviceId
    machine: str
    event: Event
    effects: tuple[Effect, ...]


def skills_of(plan: TablePlan, device: DeviceId) -> tuple[str, ...]:
    """What a device at the table can do."""
    return plan.skills if device in plan.skilled or not plan.skilled else ()


def plan_members(plan: TablePlan) -> tuple[Member, ...]:
    """The devices as they advertise themselves: alike, and all of one owner."""
    return tuple(
        Member(
            device=device,
            owner_key=plan.owner_key,
            certificate=to_text(bytes(64)),
            host="127.0.0.1",
            port=1,
            skills=skills_of(plan, device),
            checkers=plan.checkers,
            model=plan.model_of(device),
            documents=0,
            works=True,
        )
        for device in plan.devices
    )


def right_output(task: str, lie: str = "") -> str:
    """The hash of what an agent at the table makes of a task."""
    return sha256(f"output of {task}{lie}".encode()).hexdigest()


def sign_answer(answer: WitnessAnswer, witness: DeviceId, sign: Sign) -> WitnessAnswer:
    """An answer as its witness sends it."""
    message = signed_part(answer)
    if message is None or isinstance(answer, EpochRead | Refusal):
        return answer
    return replace(answer, signature=to_text(sign(witness, message)))


def work_done(plan: TablePlan, device: DeviceId, effect: RunSkill) -> SkillDone:
    """What an agent at the table says of its work."""
    task = effect.task
    return SkillDone(
        task=task.id,
        epoch=effect.epoch,
        output=_answer(plan, device, task.name),
        size=100,
        model=plan.model_of(device) if task.needs_model else "",
        inputs=tuple((name, sha) for name, sha, _ in effect.inputs),
        nonce=_nonce(plan, device, task.id, effect.epoch) if votes(task) else "",
        tokens=plan.tokens,
    )


def replica_done(plan: TablePlan, device: DeviceId, effect: RunReplica) -> ReplicaDone:
    """What an agent at the table makes of a task for a vote."""
    task = effect.task
    return ReplicaDone(
        task=task.id,
        output=_answer(plan, device, task.name),
        nonce=_nonce(plan, device, task.id, 0),
    )


def agent_done(
    plan: TablePlan, device: DeviceId, effect: RunSkill | RunReplica
) -> SkillDone | ReplicaDone:
    """As `work_done` or `replica_done`."""
    if isinstance(effect, RunSkill):
        return work_done(plan, device, effect)
    return replica_done(plan, device, effect)


def _answer(plan: TablePlan, device: DeviceId, task: str) -> str:
    lies = device in plan.liars and task in (plan.lies or {task})
    lie = "" if not lies else " by all liars" if plan.alike else f" by {device}"
    return right_output(task, lie)


def _nonce(plan: TablePlan, device: DeviceId, task: str, number: int) -> str:
    return to_text(sha256(f"{plan.seed} {device} {task} {number}".encode()).digest())


def boasts(plan: TablePlan, device: DeviceId, event: Event) -> Iterator[Send]:
    """A boaster's answer to an offer: it claims a lease that nobody granted."""
    heard = event.message if isinstance(event, MessageArrived) else None
    if device in plan.boasters and isinstance(heard, Offer):
        task = heard.task
        for state in ("claimed", "accepted"):
            claim = Progress(task=task, epoch=2**30, state=state, reason=right_output(task))
            yield Send(to=plan.devices[0], message=claim)


def check_done(plan: TablePlan, device: DeviceId, effect: RunChecks) -> ChecksDone:
    """What a verifier at the table says of an output."""
    made = effect.output.body
    assert isinstance(made, Output)
    right = made.output == right_output(effect.task.name) and device not in plan.grudgers
    return ChecksDone(
        task=effect.task.id,
        output=made.output,
        accept=right,
        checks=tuple(check.checker for check in effect.task.verification.checks),
        reason="" if right else "it is wrong",
    )


def owner_says(plan: TablePlan, effect: AskOwner) -> Iterator[tuple[float, Event]]:
    """What comes of it that the owner is asked: after how many seconds, and what he thinks."""
    made = effect.output.body
    assert isinstance(made, Output)
    task, epoch, output = made.task, made.epoch, made.output
    yield 2 * plan.latency, QuestionShown(task=task, epoch=epoch, output=output, shown=True)
    right = made.output == right_output(effect.task.name)
    reason = "" if right else "it is wrong"
    said = OwnerAnswered(task=task, epoch=epoch, output=output, accept=right, reason=reason)
    yield 2 * plan.latency + plan.thinking, said
