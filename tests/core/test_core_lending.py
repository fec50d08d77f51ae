"""Scout and verifier at the gate: others wait outside, the owner's own runs never do."""

from dataclasses import replace
from typing import Any

from pockethive.core.canonical import to_text
from pockethive.core.effects import (
    AskWitness,
    Effect,
    Publish,
    ReadShard,
    Send,
    SetTimer,
    StopSkill,
)
from pockethive.core.entry import Close, CloseReason
from pockethive.core.events import LendingChanged, MembersChanged, MessageArrived, TimerFired
from pockethive.core.idle import ONLY_IDLE
from pockethive.core.ledger_work import MAX_RETURNS
from pockethive.core.message import Offer, Progress, VerifyOffer
from pockethive.core.scout import GRACE_SECONDS, UNLEND, Scout, ScoutSettings
from pockethive.core.seeker import TIMER
from pockethive.core.task import Task
from pockethive.core.verifier import Verifier, VerifierSettings
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    entry,
    grants,
    invite,
    make_task,
    member,
    output,
    verify,
)
from tests.core.ledger_play import claim, of, opened, said

DEVICE, OWNER, WORKER = DEVICES[1], DEVICES[0], DEVICES[2]
OTHERS_KEY = to_text(bytes(range(32)))
MEMBERS = MembersChanged(members=(member(OWNER), member(DEVICE), member(DEVICES[2])))
OPEN = LendingChanged(open=True, reason="it is idle")
CLOSED = LendingChanged(open=False, reason="other programs are busy")


def scout(own_key: str) -> Scout:
    settings = ScoutSettings(
        device=DEVICE,
        skills=frozenset(("search",)),
        has_model=True,
        concurrency=2,
        seeks=True,
        own_key=own_key,
        gated=True,
    )
    made = Scout(settings, verify)
    made.handle(MEMBERS, 0.0)
    return made


def offer(task: Task) -> MessageArrived:
    message = Offer(
        task=task.id,
        skill=task.skill,
        needs_model=False,
        label=task.label,
        place=None,
        entry=entry(OWNER, task),
    )
    return MessageArrived(sender=OWNER, message=message)


def test_a_task_of_others_is_not_claimed_before_the_gate_opens_nor_after_it_closed() -> None:
    device = scout(OTHERS_KEY)
    assert device.handle(offer(make_task("a")), 1.0) == ()
    device.handle(OPEN, 2.0)
    assert of(AskWitness, device.handle(offer(make_task("a")), 3.0))
    device.handle(CLOSED, 4.0)
    assert device.open == 0  # it was not claimed yet
    assert device.handle(offer(make_task("b")), 5.0) == ()


def test_a_task_of_the_owners_own_run_is_never_gated() -> None:
    device = scout(OWNER_KEY)
    assert of(AskWitness, device.handle(offer(make_task("a")), 1.0))
    device.handle(OPEN, 2.0)
    device.handle(CLOSED, 3.0)
    assert device.open == 1


def test_who_only_says_that_a_run_is_the_owners_gets_nothing() -> None:
    device = scout(OWNER_KEY)
    device.handle(MembersChanged(members=(member(OWNER, owner=OTHERS_KEY),)), 0.5)
    assert device.handle(offer(make_task("a")), 1.0) == ()


def test_it_looks_for_work_only_while_the_gate_is_open() -> None:
    device = scout(OTHERS_KEY)
    assert of(ReadShard, device.handle(TimerFired(name=TIMER), 6.0)) == []
    device.handle(OPEN, 7.0)
    assert len(of(ReadShard, device.handle(TimerFired(name=TIMER), 8.0))) == 1


def working(device: Scout) -> None:
    """Bring a job of others to the point where its agent works."""
    task = make_task("a")
    device.handle(OPEN, 1.0)
    device.handle(offer(task), 2.0)
    job = device._jobs[task.id]
    job.claimed, job.stage = True, type(job.stage).WORKING


def test_work_in_hand_gets_a_minute_and_is_then_given_back_to_its_owner() -> None:
    device = scout(OTHERS_KEY)
    working(device)
    effects = device.handle(CLOSED, 10.0)
    assert device.open == 1
    assert SetTimer(name=UNLEND, at=10.0 + GRACE_SECONDS) in effects
    effects = device.handle(TimerFired(name=UNLEND), 70.0)
    assert device.open == 0
    assert len(of(StopSkill, effects)) == 1
    (told,) = [each.message for each in of(Send, effects) if isinstance(each.message, Progress)]
    assert (told.state, told.reason) == ("returned", ONLY_IDLE)


def test_what_is_given_back_is_no_failed_attempt_but_not_for_ever() -> None:
    ledger, (task, *_) = opened(timeout_seconds=10_000, attempts=2, claims=100)
    epoch = 0

    def give_back() -> tuple[Effect, ...]:
        nonlocal epoch
        epoch += 1
        ledger.handle(said(DEVICE, claim(task, epoch, grants=grants(task, DEVICE, epoch))), epoch)
        return ledger.handle(said(DEVICE, claim(task, epoch, "returned", ONLY_IDLE)), epoch + 0.1)

    def closes(effects: tuple[Effect, ...]) -> list[Any]:
        return [each.body for each in of(Publish, effects) if isinstance(each.body, Close)]

    for _ in range(MAX_RETURNS + 1):
        assert closes(give_back()) == []
    (close, *_) = closes(give_back())
    assert close.reason is CloseReason.FAILED
    assert "2 attempts failed" in close.detail


def test_work_in_hand_goes_on_when_the_gate_opens_again_in_time() -> None:
    device = scout(OTHERS_KEY)
    working(device)
    device.handle(CLOSED, 10.0)
    device.handle(OPEN, 20.0)
    assert device.handle(TimerFired(name=UNLEND), 70.0) == ()
    assert device.open == 1


def checker(own_key: str) -> Verifier:
    settings = VerifierSettings(
        device=DEVICE,
        owner_key=own_key,
        checkers=frozenset(("quotation",)),
        gated=True,
    )
    made = Verifier(settings, verify)
    mine = replace(member(DEVICE), owner_key=own_key)
    made.handle(MembersChanged(members=(member(OWNER), mine, member(WORKER))), 0.0)
    return made


def judge(task: Task, *sources: str) -> MessageArrived:
    made: Any = output(task.id, WORKER)
    message = VerifyOffer(
        task=task.id,
        entry=entry(OWNER, task),
        output=made,
        invite=invite(made, DEVICE),
        inputs=tuple((name, make_task(name).id) for name in sources),
    )
    return MessageArrived(sender=OWNER, message=message)


def test_a_gated_verifier_says_at_once_that_another_is_to_be_asked() -> None:
    verifier = checker(OTHERS_KEY)
    (told,) = verifier.handle(judge(make_task("a")), 1.0)
    assert isinstance(told, Send)
    assert isinstance(told.message, Progress)
    assert told.message.state == "unchecked"
    verifier.handle(OPEN, 2.0)
    verifier.handle(judge(make_task("a"), "source"), 3.0)
    verifier.handle(judge(make_task("b")), 3.0)
    assert verifier.open == 2
    verifier.handle(CLOSED, 4.0)
    assert verifier.open == 1, "what is being checked is ended"


def test_a_gated_verifier_judges_its_owners_outputs() -> None:
    verifier = checker(OWNER_KEY)
    verifier.handle(judge(make_task("a")), 1.0)
    assert verifier.open == 1
