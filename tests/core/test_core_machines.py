"""Machines one event at a time: what they refuse, what they repeat, what they give up."""

from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.effects import AskWitness, Effect, Publish, RunSkill, Send, StopSkill
from pockethive.core.entry import Close, CloseReason, Entry
from pockethive.core.events import (
    EntryArrived,
    Event,
    MembersChanged,
    MessageArrived,
    SkillDone,
    SkillFailed,
    TaskRead,
    TimerFired,
)
from pockethive.core.lease import (
    Accepted,
    Propose,
)
from pockethive.core.message import Ended, LetGo, Offer
from pockethive.core.polling import poll_key
from pockethive.core.scout import Scout, ScoutSettings
from pockethive.core.task import DeviceId
from tests.core.core_play import DEVICES, OWNER_KEY, entry, make_task, member, output, sha, verify
from tests.core.lease_play import (
    OFFER,
    OTHER,
    OWNER,
    TASK,
    WORKER,
    answers,
    grant,
)
from tests.core.ledger_play import of


class TestScout:
    def scout(self, **changes: Any) -> Scout:
        parts: dict[str, Any] = {
            "device": WORKER,
            "skills": frozenset({"search"}),
            "has_model": False,
            "concurrency": 1,
        }
        return Scout(ScoutSettings(**{**parts, **changes}), verify)

    def offered(self, scout: Scout, offer: Offer = OFFER, sender: DeviceId = OWNER) -> Any:
        return scout.handle(MessageArrived(sender=sender, message=offer), 0.0)

    def to_lease(
        self, scout: Scout, offer: Offer = OFFER, accepted: Accepted | None = None
    ) -> tuple[Effect, ...]:
        """From the offer to the lease; what the last grant caused."""
        effects: tuple[Effect, ...] = self.offered(scout, offer)
        for event in answers(effects, grant(1, accepted), grant(1), grant(1)):
            effects = scout.handle(event, 0.2)
        return effects

    def test_an_offer_that_finds_no_free_hands_waits(self) -> None:
        scout, other = self.scout(), make_task("other")
        waits = replace(OFFER, task=other.id, entry=entry(OWNER, other))
        self.offered(scout)
        assert self.offered(scout, waits) == ()
        close = Close(task=TASK.id, reason=CloseReason.CANCELLED, detail="")
        ended = Ended(task=TASK.id, entry=entry(OWNER, close))
        free = scout.handle(MessageArrived(sender=OWNER, message=ended), 0.1)
        assert other.id in {poll_key(e.ask) for e in of(AskWitness, free)}

    @pytest.mark.parametrize(
        "offer",
        [
            replace(OFFER, entry=entry(OWNER, replace(TASK, needs_model=True))),
            replace(OFFER, entry=entry(OWNER, replace(TASK, skill="juggle"))),
            replace(OFFER, entry=entry(OWNER, make_task(place=OTHER))),
            replace(OFFER, entry=output(TASK.id, OWNER)),
            replace(OFFER, task=make_task("other").id),
        ],
        ids=["no model", "no skill", "placed elsewhere", "no task", "another task"],
    )
    def test_offers_that_do_not_fit_are_left(self, offer: Offer) -> None:
        assert self.offered(self.scout(), offer) == ()

    def test_a_device_that_does_not_lend_itself_works_for_its_owner_alone(self) -> None:
        for settled, members, taken in (
            (OWNER_KEY, (member(OWNER),), True),
            (OWNER_KEY, (), False),  # the task alone proves nothing
            (OWNER_KEY, (member(OWNER, OTHER),), False),
            (OTHER, (member(OWNER),), False),
        ):
            scout = self.scout(owner_key=settled)
            scout.handle(MembersChanged(members=members), 0.0)
            assert bool(self.offered(scout)) == taken

    def test_only_the_owner_offers(self) -> None:
        assert self.offered(self.scout(), sender=OTHER) == ()

    def test_with_the_lease_it_tells_the_owner_and_works(self) -> None:
        scout = self.scout()
        effects = self.to_lease(scout)
        assert of(RunSkill, effects) == [RunSkill(task=TASK, epoch=1, inputs=())]
        assert not of(Send, effects), "work that ends at once is told with its output"
        effects = scout.handle(TimerFired(name=f"claim:{TASK.id}"), 0.3)
        assert [send.message.state for send in of(Send, effects)] == ["claimed"]

    def test_it_does_no_work_when_witnesses_hold_an_accepted_value(self) -> None:
        effects = self.to_lease(self.scout(), accepted=Accepted(1, sha("right")))
        assert of(RunSkill, effects) == []
        assert [(s.message.state, s.message.reason) for s in of(Send, effects)] == [
            ("accepted", sha("right"))
        ]

    def test_beyond_its_hands_it_queues_and_goes_on_when_one_is_free(self) -> None:
        scout = self.scout()
        self.to_lease(scout)
        other = make_task("other")
        assert self.offered(scout, replace(OFFER, task=other.id, entry=entry(OWNER, other))) == ()
        effects = scout.handle(SkillFailed(task=TASK.id, epoch=1, reason="no idea"), 2.0)
        asked = {ask.request.task for ask in of(AskWitness, effects)}
        assert asked == {TASK.id, other.id}, "one is freed, the other begun"
        assert [send.message.state for send in of(Send, effects)] == ["claimed", "failed"]

    def test_it_signs_proposes_and_announces_its_output(self) -> None:
        scout = self.scout()
        self.to_lease(scout)
        done = SkillDone(task=TASK.id, epoch=1, output=sha("right"), size=5, model="", inputs=())
        effects = scout.handle(done, 1.0)
        (publish,) = of(Publish, effects)
        made = output(TASK.id, WORKER)
        assert publish.body == made.body
        effects = scout.handle(EntryArrived(entry=made), 1.1)
        (told,) = of(Send, effects)
        assert (told.to, told.message.entry) == (OWNER, made)
        assert [vote.witness for vote in told.message.grants] == sorted(DEVICES[:3])
        assert not of(AskWitness, effects), "what is committed at once needs no hold"
        effects = scout.handle(TimerFired(name=f"hold:{TASK.id}"), 1.4)
        assert {type(ask.request) for ask in of(AskWitness, effects)} == {Propose}
        assert scout.handle(done, 1.3) == ()

    @pytest.mark.parametrize(
        ("sender", "epoch", "stops"), [(OWNER, 1, 1), (OTHER, 1, 0), (OWNER, 2, 0)]
    )
    def test_it_lets_go_when_the_owner_says_so(
        self, sender: DeviceId, epoch: int, stops: int
    ) -> None:
        scout = self.scout()
        self.to_lease(scout)
        letter = LetGo(task=TASK.id, epoch=epoch, reason="")
        effects = scout.handle(MessageArrived(sender=sender, message=letter), 1.0)
        assert len(of(StopSkill, effects)) == stops
        assert bool(of(AskWitness, effects)) is bool(stops)

    def test_asked_to_yield_it_gives_back_what_it_works_on_and_keeps_what_it_has_made(self) -> None:
        letter = LetGo(task=TASK.id, epoch=1, reason="it took more than 3 s", soft=True)
        asked = MessageArrived(sender=OWNER, message=letter)
        working = self.scout()
        self.to_lease(working)
        effects = working.handle(asked, 1.0)
        told = of(Send, effects)[-1]
        assert (told.message.state, told.message.reason) == ("returned", letter.reason)
        assert of(StopSkill, effects)
        assert of(AskWitness, effects)
        ready = self.scout()
        self.to_lease(ready)
        done = SkillDone(task=TASK.id, epoch=1, output=sha("right"), size=5, model="", inputs=())
        ready.handle(done, 1.0)
        assert ready.handle(asked, 1.1) == (), "it is being signed"
        ready.handle(EntryArrived(entry=output(TASK.id, WORKER)), 1.2)
        assert ready.handle(asked, 1.3) == (), "it is being proposed"

    @pytest.mark.parametrize(("sender", "goes"), [(OWNER, True), (OTHER, False)])
    def test_what_it_has_not_asked_for_it_leaves_when_the_owner_says_that_it_is_taken(
        self, sender: DeviceId, *, goes: bool
    ) -> None:
        scout, other = self.scout(), make_task("other")
        self.offered(scout)
        self.offered(scout, replace(OFFER, task=other.id, entry=entry(OWNER, other)))
        letter = LetGo(task=other.id, epoch=0, reason="it is taken")
        scout.handle(MessageArrived(sender=sender, message=letter), 0.2)
        assert scout.open == (1 if goes else 2)

    def test_it_stops_for_the_owners_close_and_not_for_a_strangers(self) -> None:
        scout = self.scout()
        self.to_lease(scout)

        def ended(author: DeviceId) -> Event:
            close = Close(task=TASK.id, reason=CloseReason.CANCELLED, detail="")
            signed: Entry = entry(author, close)
            return MessageArrived(sender=author, message=Ended(task=TASK.id, entry=signed))

        assert scout.handle(ended(OTHER), 1.0) == ()
        assert of(StopSkill, scout.handle(ended(OWNER), 1.0))

    def test_work_stops_when_the_lease_is_gone(self) -> None:
        scout = self.scout()
        self.to_lease(scout)
        effects = scout.handle(TimerFired(name=f"renew:{TASK.id}"), 14.0)
        assert of(StopSkill, effects)
        assert [send.message.state for send in of(Send, effects)] == ["claimed", "failed"]

    def test_inputs_that_cannot_be_proven_end_the_attempt(self) -> None:
        scout = self.scout()
        source = make_task("source")
        offer = replace(OFFER, inputs=(("source", source.id),))
        assert of(RunSkill, self.to_lease(scout, offer)) == []
        effects: tuple[Effect, ...] = ()
        for attempt in range(8):
            unproven = TaskRead(
                task=source.id, entries=(entry(OWNER, source), output(source.id, OTHER))
            )
            assert of(RunSkill, scout.handle(unproven, 1.0)) == []
            effects = scout.handle(TimerFired(name=f"read:{TASK.id}"), 1.0 + attempt / 2)
            if of(Send, effects):
                break
        claimed, send = of(Send, effects)
        assert (claimed.message.state, send.message.state) == ("claimed", "failed")
        assert "inputs" in send.message.reason
