"""Asking witnesses for a lease, one answer at a time."""

from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.acquisition import ATTEMPTS, Acquisition, Phase
from pockethive.core.effects import AskWitness
from pockethive.core.events import WitnessAnswered
from pockethive.core.lease import (
    DRIFT,
    Accepted,
    AskLease,
    EpochRead,
    FreeLease,
    Refused,
    WitnessAnswer,
)
from pockethive.core.polling import Poll
from tests.core.core_play import DEVICES, make_task, output, sha
from tests.core.lease_play import (
    OTHER,
    SIGNED,
    TASK,
    WORKER,
    answers,
    grant,
    read,
    refusal,
)


class TestAcquisition:
    def test_the_second_highest_epoch_counts_where_one_witness_may_lie(self) -> None:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(0.0)
        asked: tuple[AskWitness, ...] = ()
        stale = (refusal(Refused.STALE, epoch) for epoch in (900, 4, 3))
        for event in answers(asks, *stale):
            asked += lease.answered(event, 0.1)
        assert {ask.request.epoch for ask in asked if isinstance(ask.request, AskLease)} == {5}

    @pytest.mark.parametrize(
        ("said", "asks_on"),
        [
            ((read(3, 9), read(3, 9), read(3, 9)), False),
            ((read(3, 9), read(3, 9), read(3)), False),  # no three of four could grant it
            ((read(3, 9), read(3), read(3)), True),  # one may lie
            ((read(3, 9), read(4, 9), read(3)), True),  # two who contend; neither may have it
        ],
    )
    def test_who_reads_of_another_s_running_lease_does_not_ask_for_it(
        self, said: tuple[EpochRead, ...], *, asks_on: bool
    ) -> None:
        lease = Acquisition(SIGNED, WORKER)
        lease._unread = False  # as after a first attempt
        asks = lease.begin(0.0)
        asked: tuple[AskWitness, ...] = ()
        for event in answers(asks, *said):
            asked = lease.answered(event, 0.1)
        assert bool(asked) is asks_on
        assert lease.phase is (Phase.ASKING if asks_on else Phase.GIVEN_UP)

    def held(self, accepted: Accepted | None = None) -> Acquisition:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(10.5)
        for event in answers(asks, grant(1), grant(1, accepted), grant(1)):
            lease.answered(event, 11.0)
        assert lease.phase is Phase.HELD
        return lease

    def test_a_lease_is_counted_from_when_it_was_asked_less_the_drift(self) -> None:
        assert self.held().until == pytest.approx(10.5 + 15 * (1 - DRIFT) / (1 + DRIFT))

    def test_a_lease_not_renewed_in_time_is_given_up(self) -> None:
        kept, lapsed = self.held(), self.held()
        assert kept.renew(15.5)
        assert kept.phase is Phase.HELD
        assert lapsed.renew(24.2) == ()
        assert lapsed.phase is Phase.GIVEN_UP

    def test_too_few_grants_are_freed_and_it_backs_off_until_it_gives_up(self) -> None:
        lease, now = Acquisition(SIGNED, WORKER), 0.0
        for attempt in range(ATTEMPTS):
            asks = lease.begin(now)
            if attempt:  # the first question needs no reading
                for event in answers(asks, read(attempt), read(attempt), read(attempt)):
                    asks = lease.answered(event, now)
            freed: tuple[AskWitness, ...] = ()
            for event in answers(asks, grant(attempt + 1), refusal(), refusal()):
                freed = lease.answered(event, now)
            refused = {ask.witness for ask in asks[1:3]}
            assert {ask.witness for ask in freed} == set(TASK.committee.witnesses) - refused
            assert all(isinstance(ask.request, FreeLease) for ask in freed)
            now = lease.retry_at
        assert lease.phase is Phase.GIVEN_UP

    def test_who_hears_of_another_s_running_lease_contends_no_further(self) -> None:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(0.0)
        for event in answers(asks, refusal(Refused.STALE), refusal(Refused.STALE)):
            asks = lease.answered(event, 0.0)
        freed: tuple[AskWitness, ...] = ()
        for event in answers(asks, refusal(wait=9), refusal(Refused.STALE, wait=9)):
            freed = lease.answered(event, 0.0)
        assert lease.phase is Phase.GIVEN_UP
        assert {ask.witness for ask in freed} == {ask.witness for ask in asks[2:]}

    @pytest.mark.parametrize("said", [(refusal(wait=9), None), (refusal(wait=9), refusal())])
    def test_one_witness_alone_stops_no_contender_by_a_lie(
        self, said: tuple[WitnessAnswer | None, ...]
    ) -> None:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(0.0)
        for event in answers(asks, *said):
            lease.answered(event, 0.0)
        assert lease.phase is Phase.BACKING_OFF

    def test_it_waits_as_long_as_a_warming_witness_says(self) -> None:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(0.0)
        for event in answers(asks, refusal(Refused.WARMING, wait=9), refusal(), None):
            lease.answered(event, 0.0)
        assert lease.phase is Phase.BACKING_OFF
        assert lease.retry_at >= 9

    def test_a_witness_that_missed_the_lease_is_asked_for_it_again(self) -> None:
        lease = self.held()
        asks = lease.propose(output(TASK.id, WORKER), 12.0)
        again: tuple[AskWitness, ...] = ()
        for event in answers(asks, refusal(Refused.UNKNOWN)):
            again = lease.answered(event, 12.1)
        assert [type(ask.request) for ask in again] == [AskLease]

    def test_answers_to_older_questions_and_of_strangers_count_nothing(self) -> None:
        poll = Poll("t", 2, TASK.committee, 0.0)
        stray = WitnessAnswered(ask="t#1", witness=DEVICES[0], answer=grant(1))
        assert not poll.take(stray, bool)
        assert not poll.take(replace(stray, ask="t#2", witness=DEVICES[6]), bool)
        assert poll.take(replace(stray, ask="t#2"), bool)
        assert not poll.take(replace(stray, ask="t#2"), bool)
        assert poll.yes == 1

    @pytest.mark.parametrize(
        "lie",
        [
            {"epoch": 2},
            {"holder": OTHER},
            {"task": make_task("other").id},
            {"generation": 2},
            {"slot": True},
        ],
        ids=lambda lie: next(iter(lie)),
    )
    def test_a_signed_grant_of_something_else_is_no_grant(self, lie: dict[str, Any]) -> None:
        lease = Acquisition(SIGNED, WORKER)
        asks = lease.begin(10.5)
        for event in answers(asks, replace(grant(1), **lie), grant(1), grant(1)):
            lease.answered(event, 11.0)
        assert lease.grants == ()
        (last,) = answers(asks[3:], grant(1))
        lease.answered(last, 11.0)
        assert lease.phase is Phase.HELD
        assert len(lease.grants) == 3

    def test_the_accepted_value_of_the_highest_epoch_told_by_most_is_gone_on_with(self) -> None:
        poll = Poll("t", 1, TASK.committee, 0.0)
        told = (Accepted(1, sha("a")), Accepted(2, sha("b")), Accepted(2, sha("c")))
        values = (*told, Accepted(2, sha("b")))
        for witness, value in zip(TASK.committee.witnesses, values, strict=True):
            poll.take(WitnessAnswered(ask="t#1", witness=witness, answer=grant(3, value)), bool)
        assert poll.accepted() == Accepted(2, sha("b"))
