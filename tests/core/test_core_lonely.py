"""What a device need not wait for: its own turn, its own epochs, the next offer."""

from dataclasses import replace

from pockethive.core.acquisition import Acquisition, Phase
from pockethive.core.effects import AskWitness, Effect
from pockethive.core.entry import Close, CloseReason
from pockethive.core.events import MessageArrived, WitnessAnswered
from pockethive.core.lease import (
    AskLease,
    ReadEpoch,
    Refused,
    WitnessAnswer,
)
from pockethive.core.message import Ended, Offer
from pockethive.core.scout import MAX_JOBS, Scout, ScoutSettings
from pockethive.core.task import Committee, TaskId
from tests.core.core_play import entry, make_task, verify
from tests.core.lease_play import OFFER, OWNER, TASK, WORKER, grant, refusal
from tests.core.ledger_play import of


def answered(asks: tuple[AskWitness, ...], answer: WitnessAnswer) -> list[WitnessAnswered]:
    return [WitnessAnswered(ask=ask.ask, witness=ask.witness, answer=answer) for ask in asks]


def closed(task: TaskId) -> Close:
    return Close(task=task, reason=CloseReason.CANCELLED, detail="")


def scout() -> Scout:
    settings = ScoutSettings(
        device=WORKER, skills=frozenset({"search"}), has_model=False, concurrency=1
    )
    return Scout(settings, verify)


def offered(device: Scout, offer: Offer) -> tuple[Effect, ...]:
    return device.handle(MessageArrived(sender=OWNER, message=offer), 0.0)


def alone() -> Acquisition:
    committee = Committee(witnesses=(WORKER,), quorum=1)
    return Acquisition(entry(OWNER, replace(TASK, committee=committee)), WORKER)


def test_a_device_that_is_the_only_witness_asks_itself_without_reading_first() -> None:
    lease = alone()
    (ask,) = lease.begin(0.0)
    assert isinstance(ask.request, AskLease)
    assert ask.request.epoch == 1
    for event in answered((ask,), grant(1)):
        assert lease.answered(event, 0.0) == ()
    assert (lease.phase, lease.epoch) == (Phase.HELD, 1)


def test_its_refusal_tells_the_epoch_which_is_asked_for_at_once_and_only_once() -> None:
    lease = alone()
    asks = lease.begin(0.0)
    for event in answered(asks, refusal(Refused.STALE, epoch=4)):
        asks = lease.answered(event, 0.0)
    assert [ask.request.epoch for ask in asks if isinstance(ask.request, AskLease)] == [5]
    for event in answered(asks, refusal(Refused.STALE, epoch=5)):
        lease.answered(event, 0.0)
    assert lease.phase is Phase.BACKING_OFF
    assert [type(ask.request) for ask in lease.begin(lease.retry_at)] == [ReadEpoch]


def test_a_worker_asks_at_once_whoever_the_witnesses_are() -> None:
    committee = Committee(witnesses=(OWNER,), quorum=1)
    lease = Acquisition(entry(OWNER, replace(TASK, committee=committee)), WORKER)
    assert [type(ask.request) for ask in lease.begin(0.0)] == [AskLease]


def test_the_first_in_the_order_sets_no_timer_and_asks_at_once() -> None:
    effects = offered(scout(), OFFER)
    assert {type(effect) for effect in effects} == {AskWitness}


def test_offers_beyond_its_jobs_wait_for_a_free_place_and_not_for_the_next_offer() -> None:
    device = scout()
    tasks = [make_task(f"t{number}") for number in range(MAX_JOBS + 2)]
    for task in tasks:
        offered(device, replace(OFFER, task=task.id, entry=entry(OWNER, task)))
    first, *_, ended, last = tasks
    told = Ended(task=ended.id, entry=entry(OWNER, closed(ended.id)))
    assert device.handle(MessageArrived(sender=OWNER, message=told), 1.0) == ()
    gone = Ended(task=first.id, entry=entry(OWNER, closed(first.id)))
    device.handle(MessageArrived(sender=OWNER, message=gone), 1.0)
    asked: list[TaskId] = []
    for task in tasks[1:-2]:
        gone = Ended(task=task.id, entry=entry(OWNER, closed(task.id)))
        effects = device.handle(MessageArrived(sender=OWNER, message=gone), 2.0)
        asked += [ask.request.task for ask in of(AskWitness, effects)]
    assert last.id in asked
    assert ended.id not in asked
