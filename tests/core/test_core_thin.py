"""What a quick task does without, and what a slow one has before it could need it."""

from typing import Any

from pockethive.core.effects import AskWitness, Effect, Publish, ReadTask, RunChecks, Send, SetTimer
from pockethive.core.entry import Verdict
from pockethive.core.events import (
    ChecksDone,
    EntryArrived,
    MessageArrived,
    PingAnswered,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.lease import Ack, AskSlot, Grant, Refusal, Refused
from pockethive.core.message import Made, Offer, Progress, VerifyOffer
from pockethive.core.scout_job import HOLD_SECONDS
from pockethive.core.sources import Sources
from pockethive.core.verifier import ALONE_TELLS, SLOT_SECONDS, Verifier, VerifierSettings
from pockethive.core.watch import MISSES
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    entry,
    grants,
    invite,
    make_task,
    output,
    sha,
    verdict,
    verify,
)
from tests.core.ledger_play import of, opened, said
from tests.core.test_core_witness import MADE, Desk, why

OWNER, WORKER, OTHER, THIRD = DEVICES[:4]
TASK = make_task()


def offered() -> tuple[Verifier, tuple[Effect, ...]]:
    settings = VerifierSettings(
        device=OTHER, owner_key=OWNER_KEY, checkers=frozenset({"quotation"})
    )
    verifier, made = Verifier(settings, verify), output(TASK.id, WORKER)
    offer = VerifyOffer(
        task=TASK.id, entry=entry(OWNER, TASK), output=made, invite=invite(made, OTHER)
    )
    return verifier, verifier.handle(MessageArrived(sender=OWNER, message=offer), 0.0)


def slot_asks(effects: tuple[Effect, ...]) -> list[AskWitness]:
    return [ask for ask in of(AskWitness, effects) if isinstance(ask.request, AskSlot)]


def due_slot(verifier: Verifier, now: float = SLOT_SECONDS) -> tuple[Effect, ...]:
    return verifier.handle(TimerFired(name=f"slot:{TASK.id}"), now)


def judged(verifier: Verifier) -> tuple[Effect, ...]:
    done = ChecksDone(
        task=TASK.id, output=sha("right"), accept=True, checks=("quotation",), reason=""
    )
    return verifier.handle(done, 0.2)


def refused(ask: AskWitness) -> WitnessAnswered:
    answer = Refusal(task=TASK.id, reason=Refused.UNKNOWN, epoch=1, wait_seconds=0, accepted=None)
    return WitnessAnswered(ask=ask.ask, witness=ask.witness, answer=answer)


def test_a_verifier_checks_at_once_and_asks_for_its_slot_only_when_the_end_does_not_come() -> None:
    verifier, effects = offered()
    assert of(RunChecks, effects)
    assert not of(AskWitness, effects)
    assert SetTimer(name=f"slot:{TASK.id}", at=SLOT_SECONDS) in effects
    assert len(slot_asks(due_slot(verifier))) == len(TASK.committee.witnesses)


def test_a_verdict_that_was_told_still_gets_its_slot_long_before_the_last_word() -> None:
    verifier, _ = offered()
    (published,) = of(Publish, judged(verifier))
    assert isinstance(published.body, Verdict)
    verifier.handle(EntryArrived(entry=entry(OTHER, published.body)), 0.3)
    asks = slot_asks(due_slot(verifier))
    assert asks
    assert SLOT_SECONDS < 5.0 * (ALONE_TELLS - 1), "before it would ask for the acks itself"
    for ask in asks:
        granted = Grant(
            task=TASK.id, generation=1, epoch=1, holder=OTHER, seconds=15, accepted=None, slot=True
        )
        event = WitnessAnswered(ask=ask.ask, witness=ask.witness, answer=granted)
        assert not of(Send, verifier.handle(event, 0.7)), "nobody waits for that word any more"
    assert not of(AskWitness, due_slot(verifier, 2.0)), "it has it"


def test_who_gets_no_slot_declines_while_it_judges_and_not_once_it_has_judged() -> None:
    for early in (True, False):
        verifier, _ = offered()
        if not early:
            judged(verifier)
        told: list[Any] = []
        for turn in range(8):
            for ask in slot_asks(due_slot(verifier, 1.0 + turn)):
                told += of(Send, verifier.handle(refused(ask), 1.0 + turn))
        states = [send.message.state for send in told if isinstance(send.message, Progress)]
        assert states == (["unchecked"] if early else [])


def test_a_witness_accepts_what_its_holder_made_before_it_was_held_and_nothing_else_after() -> None:
    desk, wrong = Desk(), output(TASK.id, WORKER, 1, "wrong")
    assert isinstance(desk.lease(WORKER, 1), Grant)
    assert why(desk.slot(OTHER)) is Refused.UNKNOWN, "a slot is for a hash that is held"
    assert isinstance(desk.commit(MADE, [verdict(MADE, OTHER)]), Ack)
    assert why(desk.commit(wrong, [verdict(wrong, OTHER)])) is Refused.COMMITTED
    held = Desk()
    held.lease(WORKER, 1)
    held.propose()
    assert why(held.commit(wrong, [verdict(wrong, OTHER)])) is Refused.UNPROVEN


def test_an_unheld_output_counts_for_nobody_but_the_owner_without_a_slot() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    assert why(desk.commit(MADE, [verdict(MADE, OTHER)], peer=WORKER)) is Refused.UNPROVEN
    assert why(desk.commit(MADE, [verdict(MADE, OTHER)], peer=THIRD)) is Refused.UNPROVEN


def test_a_hold_is_asked_for_well_before_a_slot_is() -> None:
    assert HOLD_SECONDS < SLOT_SECONDS


def test_work_that_was_made_at_once_is_claimed_and_made_with_the_output_alone() -> None:
    ledger, (task, *_) = opened()
    made = output(task.id, WORKER)
    effects = ledger.handle(said(WORKER, Made(entry=made, grants=grants(task, WORKER, 1))), 1.0)
    told = [effect.happening.what for effect in effects if hasattr(effect, "happening")]
    assert told[:2] == ["claimed", "made"]


def test_devices_get_an_offer_one_after_another_and_the_lost_are_passed_over() -> None:
    ledger, (task, *_) = opened()
    to: list[str] = []
    lost = None
    for tick in range(1, 7):
        effects = ledger.handle(TimerFired(name="tick"), tick / 2)
        new = [s.to for s in of(Send, effects) if isinstance(s.message, Offer)]
        to += [device for device in new if device not in to]
        if lost is None and to:
            lost = next(d for d in DEVICES[:4] if d not in to and d != OWNER)
            for _ in range(MISSES):
                ledger.handle(PingAnswered(device=lost, alive=False), tick / 2)
    assert lost not in to
    assert len(to) == len(set(to)) >= 2
    assert task.id


def test_sources_are_read_here_first_and_in_the_network_from_then_on() -> None:
    source = make_task("source").id
    reading = Sources((("source", source),), make_task(), verify)
    assert reading.read() == (ReadTask(task=source, here=True),)
    assert reading.read() == (ReadTask(task=source),)
