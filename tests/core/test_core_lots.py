"""Who judges: drawn by lot, invited by the owner, and nobody else gets a slot or is counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import sqrt

import pytest

from pockethive.core.effects import SignEntry
from pockethive.core.entry import Entry, Invite, Kind, Output
from pockethive.core.events import EntryArrived, MembersChanged, MessageArrived, TimerFired
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import Ack, AskLease, AskSlot, Grant, Propose, Refused
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.lots import draw, line
from pockethive.core.message import Made, VerifyOffer
from pockethive.core.spec import Limits
from pockethive.core.task import DeviceId, Task
from pockethive.core.verifier import Verifier, VerifierSettings
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    OWNER_KEY,
    device,
    entry,
    grants,
    invite,
    make_task,
    member,
    output,
    planned,
    sha,
    verdict,
    verify,
)
from tests.core.ledger_play import begin, of, said
from tests.core.test_core_witness import Desk, why

OWNER, WORKER, OTHER, THIRD = DEVICES[:4]
SECRET = b"of the owner"
HIVE = tuple(device(number) for number in range(100, 140))
COLLUDERS = frozenset(HIVE[:12])  # three in ten
PLAYS = 200


def held(task: Task, made: Entry) -> list[Desk]:
    """Four witnesses that hold what the worker has proposed."""
    desks = [Desk(device=witness) for witness in task.committee.witnesses]
    signed = entry(OWNER, task)
    for desk in desks:
        desk.ask(made.author, AskLease(task=task.id, epoch=1, seconds=15, entry=signed))
        desk.ask(made.author, Propose(task=task.id, epoch=1, seconds=15, output=made))
    return desks


def races(task: Task, made: Entry, words: Iterable[Entry], drawn: DeviceId) -> set[DeviceId]:
    """Who has a slot at a quorum of witnesses when the device drawn comes last of all."""
    desks, got = held(task, made), Counter[DeviceId]()
    assert isinstance(made.body, Output)
    asks = [(each, word) for each in sorted(COLLUDERS) for word in words]
    for peer, word in [*asks, (drawn, invite(made, drawn))]:
        ask = AskSlot(task=task.id, epoch=1, output=made.body.output, seconds=15, invite=word)
        granted = [isinstance(desk.ask(peer, ask), Grant) for desk in desks]
        got[peer] = max(got[peer], sum(granted))
    return {peer for peer, count in got.items() if count >= task.committee.quorum}


def shares() -> tuple[float, float]:
    """Over many outputs: the share of slots that colluders got, and of outputs where one did."""
    slots = wins = every = 0
    for number in range(PLAYS):
        task = make_task(f"play-{number}", witnesses=DEVICES[:1], quorum=1)
        made = output(task.id, WORKER)
        (drawn, *_) = line(((draw(SECRET, task.id, 1)(each), each) for each in HIVE), HIVE)
        other = output(task.id, WORKER, 2)
        words = [invite(made, drawn), invite(other, HIVE[0])]
        inside = races(task, made, words, drawn)
        slots, every = slots + len(inside & COLLUDERS), every + len(inside)
        wins += bool(inside & COLLUDERS)
    return slots / every, wins / PLAYS


def test_colluders_that_race_for_slots_get_their_share_of_the_electorate_and_no_more() -> None:
    share = len(COLLUDERS) / len(HIVE)
    error = 3 * sqrt(share * (1 - share) / PLAYS)
    for found in shares():
        assert abs(found - share) <= error


def test_without_invitations_the_race_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pockethive.core.witness.invites_to", lambda *_: True)
    monkeypatch.setattr("tests.core.test_core_lots.PLAYS", 20)
    slots, outputs = shares()
    assert slots > 0.9
    assert outputs == 1.0


def test_a_worker_cannot_commit_with_the_verdict_of_a_friend_who_was_not_drawn() -> None:
    made = output(make_task().id, WORKER)
    desk = held(make_task(), made)[0]
    friend = (verdict(made, OTHER),)
    assert why(desk.commit(made, friend, peer=WORKER)) is Refused.UNPROVEN
    assert why(desk.commit(made, friend, peer=OTHER)) is Refused.UNPROVEN
    assert isinstance(desk.slot(OTHER), Grant)
    assert isinstance(desk.commit(made, friend, peer=OTHER), Ack)


def test_the_owner_needs_no_slots_for_what_it_commits() -> None:
    made = output(make_task().id, WORKER)
    desk = held(make_task(), made)[0]
    assert isinstance(desk.commit(made, (verdict(made, OTHER),), peer=OWNER), Ack)


def test_whose_slot_ran_out_is_still_counted_and_the_cell_stays_small() -> None:
    made = output(make_task().id, WORKER)
    desk = held(make_task(), made)[0]
    devices = [device(number) for number in range(20, 40)]
    for one in devices:
        assert isinstance(desk.slot(one), Grant)
        desk.now += 6
        desk.ask(WORKER, Propose(task=make_task().id, epoch=1, seconds=15, output=made))
    last, first = devices[-4], devices[0]
    assert why(desk.commit(made, (verdict(made, first),), peer=first)) is Refused.UNPROVEN
    assert isinstance(desk.commit(made, (verdict(made, last),), peer=last), Ack)


@pytest.mark.parametrize(
    "word",
    [
        invite(output(make_task().id, WORKER), THIRD),
        invite(output(make_task().id, WORKER, 2), OTHER),
        invite(output(make_task().id, WORKER, 1, "wrong"), OTHER),
        invite(output(make_task("b").id, WORKER), OTHER),
        invite(output(make_task().id, WORKER), OTHER, WORKER),
        output(make_task().id, OWNER),
    ],
    ids=["to another", "other epoch", "other output", "other task", "not the owner's", "no invite"],
)
def test_an_invitation_is_for_one_device_and_one_output_and_of_the_owner(word: Entry) -> None:
    made = output(make_task().id, WORKER)
    desk = held(make_task(), made)[0]
    assert why(desk.slot(OTHER, invited=word)) is Refused.UNPROVEN
    offer = VerifyOffer(
        task=make_task().id, entry=entry(OWNER, make_task()), output=made, invite=word
    )
    settings = VerifierSettings(
        device=OTHER, owner_key=OWNER_KEY, checkers=frozenset({"quotation"})
    )
    verifier = Verifier(settings, verify)
    assert verifier.handle(MessageArrived(sender=OWNER, message=offer), 0.0) == ()
    good = replace(offer, invite=invite(made, OTHER))
    assert verifier.handle(MessageArrived(sender=OWNER, message=good), 0.0)


def test_who_joined_after_the_run_began_is_asked_last() -> None:
    lots = [(draw(SECRET, make_task().id, 1)(each), each) for each in HIVE]
    ordered = line(lots, HIVE[:30])
    assert set(ordered[:30]) == set(HIVE[:30])
    assert set(ordered[30:]) == set(HIVE[30:])
    again = line([(draw(SECRET, make_task().id, 2)(each), each) for each in HIVE], HIVE[:30])
    assert ordered != again, "another epoch is another draw"
    assert ordered != line([(draw(b"", make_task().id, 1)(each), each) for each in HIVE], HIVE)


def test_the_ledger_invites_in_the_order_of_the_lots_and_sends_the_offer_once_that_is_signed() -> (
    None
):
    settings = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits(), secret=SECRET)
    founders = tuple(map(member, DEVICES[:4]))
    two = planned("a", verification=replace(CHECKED, verdicts=2), place=WORKER)
    ledger, (task,) = begin(Ledger(settings, verify), founders, TaskGraph((two,)))
    ledger.handle(MembersChanged(members=(*founders, *map(member, HIVE))), 0.2)
    made = output(task.id, WORKER)
    effects = ledger.handle(said(WORKER, Made(entry=made, grants=grants(task, WORKER))), 0.3)
    order: list[DeviceId] = []
    for second in range(1, 20):
        signed = [e for e in of(SignEntry, effects) if e.kind is Kind.INVITE]
        for effect in signed:
            word = entry(OWNER, effect.body)
            assert isinstance(word.body, Invite)
            (sent,) = ledger.handle(EntryArrived(entry=word), float(second))
            assert (sent.to, sent.message.invite) == (word.body.verifier, word)  # type: ignore[union-attr]
            order.append(word.body.verifier)
        effects = ledger.handle(TimerFired(name="tick"), second * 5.0)
    fit = [each.device for each in founders if each.device != WORKER]
    drawn = line([(draw(SECRET, task.id, 1)(each), each) for each in fit], fit)
    assert tuple(order[: len(fit)]) == drawn
    assert set(order[len(fit) :]) <= set(HIVE)
    stale = entry(OWNER, Invite(task=task.id, epoch=9, output=sha("x"), verifier=OTHER))
    assert ledger.handle(EntryArrived(entry=stale), 99.0) == ()
