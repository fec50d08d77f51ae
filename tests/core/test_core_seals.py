"""Replacing witnesses: what a seal ends, what the next generation inherits, whole runs of it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import to_text
from pockethive.core.entry import Commit, Entry, Kind
from pockethive.core.fold import fold
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import (
    Accepted,
    Ack,
    Grant,
    Refused,
    Seal,
    Sealed,
    WitnessAnswer,
    seal_bytes,
)
from pockethive.core.lifecycle import Status
from pockethive.core.report import RunStatus
from pockethive.core.sealing import candidates, sealing, succession, successor
from pockethive.core.spec import Limits
from pockethive.core.task import Committee, DeviceId, Task
from tests.core.core_play import (
    DEVICES,
    acks,
    edge,
    entry,
    make_task,
    output,
    planned,
    sha,
    sign,
    verdict,
)
from tests.core.core_play import verify as good
from tests.core.test_core_runs import CHAIN, table
from tests.core.test_core_witness import Desk, why

OWNER, WORKER, OTHER, THIRD, FOURTH = DEVICES[:5]
TASK = make_task()
SIGNED = entry(OWNER, TASK)
HEIR = Committee(witnesses=DEVICES[3:7], quorum=3)
MADE = output(TASK.id, WORKER)


def seal(
    desk: Desk, heir: Committee = HEIR, signed: Entry = SIGNED, by: DeviceId = OWNER
) -> WitnessAnswer:
    assert isinstance(signed.body, Task)
    request = Seal(
        task=TASK.id,
        generation=signed.body.committee.generation,
        successor=successor(heir),
        entry=signed,
    )
    return desk.ask(by, request)


def heir_entry(base: int, bound: str = "", heir: Committee = HEIR) -> Entry:
    """The next generation, as the owner signs it."""
    committee = replace(heir, generation=2, epoch_base=base, bound=bound)
    return entry(OWNER, replace(TASK, committee=committee))


def said(epoch: int = 0, accepted: Accepted | None = None, wait: int = 0) -> Sealed:
    return Sealed(
        task=TASK.id,
        generation=1,
        successor=successor(HEIR),
        epoch=epoch,
        accepted=accepted,
        wait_seconds=wait,
    )


class TestOneWitness:
    def test_a_sealed_generation_is_over_for_everybody(self) -> None:
        desk = Desk()
        assert isinstance(desk.lease(WORKER, 3), Grant)
        sealed = seal(desk)
        assert isinstance(sealed, Sealed)
        assert (sealed.epoch, sealed.accepted, sealed.wait_seconds) == (3, None, 15)
        assert why(desk.lease(WORKER, 3, renews=True)) is Refused.SEALED
        assert why(desk.lease(OTHER, 4)) is Refused.SEALED
        assert why(desk.propose(MADE, 3)) is Refused.SEALED
        assert why(desk.slot(OTHER, 3)) is Refused.SEALED
        assert why(desk.commit(MADE, [verdict(MADE, OTHER)], 3)) is Refused.SEALED

    def test_the_first_successor_stays_whatever_is_asked_later(self) -> None:
        desk = Desk()
        first = seal(desk)
        again = seal(desk, Committee(witnesses=DEVICES[:3], quorum=2))
        assert isinstance(first, Sealed)
        assert isinstance(again, Sealed)
        assert first.successor == again.successor == successor(HEIR)

    def test_only_the_device_that_signed_the_task_may_seal(self) -> None:
        desk = Desk()
        assert why(seal(desk, by=WORKER)) is Refused.UNPROVEN
        assert isinstance(desk.lease(WORKER, 1), Grant)

    def test_one_that_never_heard_of_the_task_seals_it_all_the_same(self) -> None:
        desk = Desk()
        assert isinstance(seal(desk), Sealed)
        assert why(desk.lease(WORKER, 1)) is Refused.SEALED

    def test_one_that_lost_its_memory_does_not_say_that_it_accepted_nothing(self) -> None:
        desk = Desk(born=TASK.began + 100.0, now=TASK.began + 10_000.0)
        assert why(seal(desk)) is Refused.UNKNOWN

    def test_what_it_accepted_is_in_its_seal(self) -> None:
        desk = Desk()
        desk.lease(WORKER, 1)
        desk.propose()
        assert isinstance(desk.commit(MADE, [verdict(MADE, OTHER)]), Ack)
        sealed = seal(desk)
        assert isinstance(sealed, Sealed)
        assert sealed.accepted == Accepted(1, sha("right"))

    def test_a_witness_of_both_generations_goes_on_above_the_base(self) -> None:
        desk = Desk(device=FOURTH)
        heir = heir_entry(5)
        assert why(desk.lease(WORKER, 5, heir)) is Refused.STALE
        assert isinstance(desk.lease(WORKER, 6, heir), Grant)
        old = entry(OWNER, make_task(witnesses=(*DEVICES[:3], FOURTH)))
        assert why(desk.lease(OTHER, 7, old)) is Refused.SEALED

    def test_a_carried_value_is_the_only_one_and_needs_its_evidence(self) -> None:
        desk = Desk(device=FOURTH)
        heir = heir_entry(5, bound=sha("right"))
        grant = desk.lease(WORKER, 6, heir)
        assert isinstance(grant, Grant)
        assert grant.accepted == Accepted(5, sha("right"))
        wrong = output(TASK.id, WORKER, 6, "other")
        assert why(desk.commit(wrong, [verdict(wrong, OTHER)], 6)) is Refused.COMMITTED
        assert why(desk.commit(MADE, [], 6)) is Refused.UNPROVEN
        assert why(desk.commit(MADE, [], 5)) is Refused.STALE
        assert isinstance(desk.commit(MADE, [verdict(MADE, OTHER)], 6), Ack)

    def test_a_stranger_cannot_take_a_task_over_with_a_later_generation(self) -> None:
        desk = Desk(device=FOURTH)
        assert isinstance(desk.lease(WORKER, 6, heir_entry(5)), Grant)
        committee = replace(HEIR, generation=3, epoch_base=9)
        stolen = entry(WORKER, replace(TASK, committee=committee, owner=WORKER))
        assert why(desk.lease(WORKER, 10, stolen)) is Refused.UNPROVEN


class TestWhatSealsSay:
    def test_fewer_than_a_quorum_say_nothing(self) -> None:
        assert succession(TASK.committee, [said(), said()], 15) is None

    def test_the_base_is_the_highest_epoch_and_the_wait_outlasts_slow_clocks(self) -> None:
        left = succession(TASK.committee, [said(3), said(9, wait=10), said(0)], 15)
        assert left is not None
        assert (left.base, left.bound) == (9, "")
        assert left.wait == pytest.approx(10 * 1.05 / 0.95)

    def test_a_witness_at_an_impossible_epoch_does_not_count(self) -> None:
        seals = [said(2**31), said(), said()]
        assert succession(TASK.committee, seals, 15) is None
        left = succession(TASK.committee, [*seals, said(4)], 15)
        assert left is not None
        assert left.base == 4

    def test_two_possible_values_need_more_seals(self) -> None:
        seals = [said(1, Accepted(1, sha("a"))), said(1, Accepted(1, sha("b"))), said(1)]
        assert succession(TASK.committee, seals, 15) is None
        fourth = said(1, Accepted(1, sha("a")))
        left = succession(TASK.committee, [*seals, fourth], 15)
        assert left is not None
        assert left.bound == sha("a")

    @pytest.mark.parametrize(("count", "quorum"), [(7, 5), (4, 3), (3, 2)])
    def test_a_committed_value_is_always_named_whoever_seals_and_lies(
        self, count: int, quorum: int
    ) -> None:
        """All ways to commit, all ways to be sealed, all lies: small enough to try them all."""
        committee = Committee(witnesses=DEVICES[:count], quorum=quorum)
        names = range(count)
        for liars in combinations(names, committee.liars):
            for acked in combinations(names, quorum):
                for heard in ways(names, quorum):
                    seals = [
                        said(
                            1, Accepted(1, sha("v")) if who in acked and who not in liars else None
                        )
                        for who in heard
                    ]
                    assert sha("v") in candidates(committee, seals), (liars, acked, heard)

    @given(st.permutations(range(7)), st.integers(0, 2))
    def test_a_value_of_liars_alone_dies_once_all_have_sealed(
        self, order: list[int], lies: int
    ) -> None:
        committee = Committee(witnesses=DEVICES[:7], quorum=5)
        seals = [said(1, Accepted(1, sha("x")) if who < lies else None) for who in order]
        assert candidates(committee, seals) == ()


def ways(names: range, quorum: int) -> Iterator[tuple[int, ...]]:
    for size in range(quorum, len(names) + 1):
        yield from combinations(names, size)


class TestReaders:
    def seals(self, count: int = 3, heir: Committee = HEIR) -> Entry:
        votes = []
        for witness in TASK.committee.witnesses[:count]:
            vote = replace(said(), successor=successor(heir))
            votes.append(
                (witness, replace(vote, signature=to_text(sign(witness, seal_bytes(vote)))))
            )
        return entry(OWNER, sealing(votes))

    def commit(self, generation: int, task: Task) -> Entry:
        return entry(
            WORKER,
            Commit(
                task=TASK.id,
                generation=generation,
                epoch=6,
                output=sha("right"),
                acks=acks(task, 6, sha("right"), 3),
            ),
        )

    def test_a_commit_of_the_next_generation_is_believed_for_the_seals_between(self) -> None:
        heir = heir_entry(5)
        assert isinstance(heir.body, Task)
        made, commit = output(TASK.id, WORKER, 6), self.commit(2, heir.body)
        view = fold((SIGNED, self.seals(), heir, made, commit), good)
        assert view is not None
        assert (view.status, view.task.committee.generation) == (Status.COMMITTED, 2)

    @pytest.mark.parametrize("what", ["none", "too few", "for another committee"])
    def test_without_good_seals_it_is_not(self, what: str) -> None:
        heir = heir_entry(5)
        assert isinstance(heir.body, Task)
        seals = {
            "none": (),
            "too few": (self.seals(2),),
            "for another committee": (self.seals(heir=TASK.committee),),
        }[what]
        entries = (SIGNED, *seals, heir, output(TASK.id, WORKER, 6), self.commit(2, heir.body))
        view = fold(entries, good)
        assert view is not None
        assert (view.status, view.task.committee.generation) == (Status.PROPOSED, 1)

    def test_a_commit_of_the_first_generation_stays_one(self) -> None:
        commit = self.commit(1, TASK)
        view = fold((SIGNED, self.seals(), heir_entry(5), MADE, commit), good)
        assert view is not None
        assert view.status is Status.COMMITTED


class TestRuns:
    @pytest.mark.parametrize("seed", range(6))
    def test_witnesses_die_one_after_the_other_and_the_run_goes_on(self, seed: int) -> None:
        """Seven witnesses named at the start; three of them are dead before the last task."""
        dying = {DEVICES[3]: 2.0, DEVICES[4]: 6.0, DEVICES[5]: 40.0}
        played = table(
            f"dying witnesses {seed}",
            7,
            crashes=dying,
            durations=dict.fromkeys("abcd", 14.0),
            limits=Limits(timeout_seconds=200),
        )
        outcome = played.run(CHAIN)
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        generations = {r.name: r.task.committee.generation for r in outcome.tasks}
        assert max(generations.values()) >= 2, generations
        for report in outcome.tasks:
            view = fold(played.entries[report.id].values(), good, report.id)
            assert view is not None
            assert view.status is Status.COMMITTED
            kinds = [receipt.kind for receipt in report.receipts]
            assert kinds.count(Kind.SEAL) == generations[report.name] - 1

    def test_without_a_quorum_to_seal_it_the_work_becomes_another_task(self) -> None:
        dying = dict.fromkeys(DEVICES[3:7], 0.5)
        played = table("too many", 7, crashes=dying, limits=Limits(timeout_seconds=120))
        outcome = played.run(TaskGraph((planned("a"), planned("b", (edge("a"),)))))
        assert outcome.status is RunStatus.COMPLETED, outcome.reason
        first, second = outcome.tasks
        assert any("planned anew, for the 2. time" in line for line in second.story)
        retired = [
            task for task in played.entries if task.split("/")[1] == "b" and task != second.id
        ]
        (view,) = (fold(played.entries[task].values(), good, task) for task in retired)
        assert view is not None
        assert view.status is Status.LOST
        assert first.id != second.id

    def test_a_task_is_not_planned_anew_for_ever(self) -> None:
        """Its place is on the one device that is left besides the owner; witnesses keep dying."""
        dying = {DEVICES[2]: 0.5, DEVICES[3]: 0.5, DEVICES[1]: 30.0}
        played = table("for ever", 4, crashes=dying, limits=Limits(timeout_seconds=300))
        outcome = played.run(
            TaskGraph((planned("a", place=DEVICES[2]), planned("b", (edge("a"),))))
        )
        assert outcome.status is RunStatus.FAILED
        assert outcome.seconds < 60
