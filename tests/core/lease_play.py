"""One task, its offer, and what witnesses answer: for plays of one machine, event by event."""

from pockethive.core.effects import AskWitness, Effect
from pockethive.core.events import WitnessAnswered
from pockethive.core.labels import Label
from pockethive.core.lease import Accepted, EpochRead, Grant, Refusal, Refused, WitnessAnswer
from pockethive.core.message import Offer
from tests.core.core_play import DEVICES, entry, make_task

TASK = make_task()
OWNER, WORKER, OTHER = DEVICES[:3]
SIGNED = entry(OWNER, TASK)
OFFER = Offer(
    task=TASK.id,
    skill="search",
    needs_model=False,
    label=Label.HIVE,
    place=None,
    entry=SIGNED,
)


def grant(epoch: int, accepted: Accepted | None = None) -> Grant:
    return Grant(
        task=TASK.id, generation=1, epoch=epoch, holder=WORKER, seconds=15, accepted=accepted
    )


def refusal(why: Refused = Refused.BUSY, epoch: int = 1, wait: int = 0) -> Refusal:
    return Refusal(task=TASK.id, reason=why, epoch=epoch, wait_seconds=wait, accepted=None)


def read(epoch: int, wait: int = 0) -> EpochRead:
    return EpochRead(task=TASK.id, epoch=epoch, accepted=None, wait_seconds=wait)


def answers(
    asks: tuple[Effect, ...] | tuple[AskWitness, ...], *given: WitnessAnswer | None
) -> list[WitnessAnswered]:
    questions = [ask for ask in asks if isinstance(ask, AskWitness)]
    return [
        WitnessAnswered(ask=ask.ask, witness=ask.witness, answer=answer)
        for ask, answer in zip(questions, given, strict=False)
    ]
