"""Witnesses: each rule by example, then safety under arbitrary histories, and mutants caught."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from pockethive.core.cell import MAX_CELL, Span
from pockethive.core.entry import Entry
from pockethive.core.lease import (
    MAX_EPOCH_JUMP,
    Accepted,
    Ack,
    AskCommit,
    AskLease,
    AskSlot,
    EpochRead,
    FreeLease,
    Grant,
    Propose,
    ReadEpoch,
    Refusal,
    Refused,
    WitnessAnswer,
    WitnessRequest,
)
from pockethive.core.task import DeviceId, Task
from pockethive.core.witness import Witness, WitnessAsked
from tests.core.core_play import DEVICES, entry, invite, make_task, output, sha, verdict, verify

TASK = make_task()
OWNER, WORKER, OTHER, THIRD, FOURTH = DEVICES[:5]
SIGNED = entry(OWNER, TASK)
NOW = float(TASK.began) + 10
MADE = output(TASK.id, WORKER)


@dataclass
class Desk:
    """One witness with its cell."""

    device: DeviceId = OWNER
    cell: bytes | None = None
    now: float = NOW
    born: float = 0.0
    booted: float = 0.0

    def ask(self, peer: DeviceId, request: WitnessRequest) -> WitnessAnswer:
        asked = WitnessAsked(peer=peer, request=request, born=self.born, booted=self.booted)
        self.cell, answer = Witness(self.device, verify).decide(self.cell, asked, self.now)
        assert self.cell is None or len(self.cell) <= MAX_CELL
        return answer

    def lease(
        self, peer: DeviceId, epoch: int, signed: Entry = SIGNED, *, renews: bool = False
    ) -> WitnessAnswer:
        assert isinstance(signed.body, Task)
        task = signed.body.id
        ask = AskLease(task=task, epoch=epoch, seconds=15, entry=signed, renews=renews)
        return self.ask(peer, ask)

    def attempt(self, number: int) -> WitnessAnswer:
        """The worker's request for epoch 5, told apart from its others."""
        ask = AskLease(task=TASK.id, epoch=5, seconds=15, entry=SIGNED, attempt=number)
        return self.ask(WORKER, ask)

    def propose(self, made: Entry = MADE, epoch: int = 1) -> WitnessAnswer:
        return self.ask(made.author, Propose(task=TASK.id, epoch=epoch, seconds=15, output=made))

    def slot(self, peer: DeviceId, epoch: int = 1, invited: Entry | None = None) -> WitnessAnswer:
        word = invited or invite(output(TASK.id, WORKER, epoch), peer)
        ask = AskSlot(task=TASK.id, epoch=epoch, output=sha("right"), seconds=15, invite=word)
        return self.ask(peer, ask)

    def commit(
        self, made: Entry, verdicts: Sequence[Entry], epoch: int = 1, peer: DeviceId = OWNER
    ) -> WitnessAnswer:
        output_sha = getattr(made.body, "output", "")
        request = AskCommit(
            task=TASK.id, epoch=epoch, output=output_sha, evidence=(made, *verdicts)
        )
        return self.ask(peer, request)


def why(answer: WitnessAnswer) -> Refused:
    assert isinstance(answer, Refusal), answer
    return answer.reason


def test_a_lease_is_granted_once_and_renewed_by_its_holder_alone() -> None:
    desk = Desk()
    assert isinstance(desk.lease(WORKER, 1), Grant)
    desk.now += 14
    assert isinstance(desk.lease(WORKER, 1, renews=True), Grant)
    assert why(desk.lease(OTHER, 1, renews=True)) is Refused.STALE
    desk.now += 14
    refused = desk.lease(OTHER, 2)
    assert why(refused) is Refused.BUSY
    assert isinstance(refused, Refusal)
    assert refused.wait_seconds == 1
    assert why(desk.lease(OTHER, 1)) is Refused.STALE
    desk.now += 1.001
    assert isinstance(desk.lease(OTHER, 2), Grant)
    assert why(desk.lease(WORKER, 1)) is Refused.STALE


def test_a_holder_that_restarted_gets_a_new_epoch_at_once_and_never_its_old_one_again() -> None:
    desk = Desk()
    assert isinstance(desk.lease(WORKER, 1), Grant)
    assert why(desk.lease(WORKER, 1)) is Refused.STALE
    assert isinstance(desk.lease(WORKER, 2), Grant)


def test_an_epoch_may_not_jump_far() -> None:
    desk = Desk()
    assert why(desk.lease(WORKER, MAX_EPOCH_JUMP + 1)) is Refused.JUMP
    assert isinstance(desk.lease(WORKER, MAX_EPOCH_JUMP), Grant)


def test_a_lease_given_back_is_free_at_once_but_its_epoch_is_spent() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    free = FreeLease(task=TASK.id, epoch=1)
    desk.ask(OTHER, free)
    assert why(desk.lease(OTHER, 2)) is Refused.BUSY
    assert desk.ask(WORKER, free) == EpochRead(task=TASK.id, epoch=1, accepted=None)
    assert why(desk.lease(WORKER, 1)) is Refused.STALE
    assert isinstance(desk.lease(OTHER, 2), Grant)


def test_a_late_word_that_gives_back_an_earlier_attempt_does_not_end_the_one_that_runs() -> None:
    # Its first attempt for epoch 5 found no quorum, and this witness had not granted it.
    desk = Desk()
    assert isinstance(desk.attempt(2), Grant)
    desk.ask(WORKER, FreeLease(task=TASK.id, epoch=5, attempt=1))
    assert why(desk.lease(OTHER, 6)) is Refused.BUSY
    renewal = AskLease(task=TASK.id, epoch=5, seconds=15, entry=SIGNED, renews=True, attempt=1)
    assert why(desk.ask(WORKER, renewal)) is Refused.STALE
    desk.ask(WORKER, FreeLease(task=TASK.id, epoch=5, attempt=2))
    assert isinstance(desk.lease(OTHER, 6), Grant)


@pytest.mark.parametrize(
    ("signed", "peer", "reason"),
    [
        (entry(WORKER, TASK), WORKER, Refused.UNPROVEN),
        (entry(OWNER, make_task(witnesses=DEVICES[1:5])), WORKER, Refused.UNKNOWN),
        (entry(OWNER, make_task(place=OTHER)), WORKER, Refused.UNPROVEN),
        (MADE, WORKER, Refused.UNPROVEN),
    ],
    ids=["not the owner's", "not a witness of it", "placed elsewhere", "not a task"],
)
def test_a_lease_needs_a_fitting_signed_task(
    signed: Entry, peer: DeviceId, reason: Refused
) -> None:
    request = AskLease(task=TASK.id, epoch=1, seconds=15, entry=signed)
    assert why(Desk().ask(peer, request)) is reason


def test_another_committee_for_the_same_generation_is_refused() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    other = entry(OWNER, make_task(witnesses=(*DEVICES[:3], DEVICES[5])))
    desk.now += 60
    assert why(desk.lease(OTHER, 2, other)) is Refused.UNPROVEN


def test_what_it_was_not_asked_before_it_does_not_know() -> None:
    desk = Desk()
    assert why(desk.propose()) is Refused.UNKNOWN
    assert why(desk.slot(OTHER)) is Refused.UNKNOWN
    assert why(desk.commit(MADE, ())) is Refused.UNKNOWN
    assert desk.ask(OTHER, ReadEpoch(task=TASK.id)) == EpochRead(
        task=TASK.id, epoch=0, accepted=None
    )
    assert desk.cell is None


def test_only_the_holder_proposes_and_only_its_own_output_of_that_epoch() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    assert why(desk.propose(output(TASK.id, OTHER))) is Refused.BUSY
    assert why(desk.propose(output(TASK.id, WORKER, 2))) is Refused.UNPROVEN
    assert isinstance(desk.propose(), Grant)
    assert isinstance(desk.propose(), Grant)
    assert why(desk.propose(output(TASK.id, WORKER, 1, "second thoughts"))) is Refused.UNPROVEN


def test_verify_slots_are_few_and_never_the_workers() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    assert why(desk.slot(OTHER)) is Refused.UNKNOWN
    desk.propose()
    assert why(desk.slot(WORKER)) is Refused.UNPROVEN
    granted = [desk.slot(DEVICES[n]) for n in (0, 2, 3)]
    assert all(isinstance(grant, Grant) and grant.slot for grant in granted)
    assert why(desk.slot(FOURTH)) is Refused.FULL
    assert isinstance(desk.slot(OTHER), Grant), "its own slot is renewed"
    desk.ask(THIRD, FreeLease(task=TASK.id, epoch=1))
    assert isinstance(desk.slot(FOURTH), Grant)


@pytest.mark.parametrize(
    ("made", "verdicts", "told"),
    [
        (MADE, (), "no verdict"),
        (MADE, (verdict(MADE, WORKER),), "the worker's own"),
        (MADE, (verdict(MADE, OTHER, accept=False),), "a rejection"),
        (MADE, (verdict(output(TASK.id, WORKER, 1, "wrong"), OTHER),), "of another output"),
        (output(TASK.id, OTHER), (verdict(output(TASK.id, OTHER), THIRD),), "not the holder's"),
        (
            MADE,
            (verdict(MADE, OTHER), verdict(MADE, OTHER, accept=False)),
            "yes and no of one device",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_ack_needs_evidence(made: Entry, verdicts: tuple[Entry, ...], told: str) -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    desk.propose()
    assert why(desk.commit(made, verdicts)) is Refused.UNPROVEN
    good = desk.commit(MADE, (verdict(MADE, OTHER),))
    assert good == Ack(task=TASK.id, generation=1, epoch=1, output=sha("right"))


def test_an_accepted_value_never_changes_and_later_grants_carry_it() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    first = desk.commit(MADE, (verdict(MADE, OTHER),))
    assert desk.commit(MADE, (), peer=THIRD) == first, "the same ack again"
    desk.now += 60
    grant = desk.lease(THIRD, 2)
    assert isinstance(grant, Grant)
    assert grant.accepted == Accepted(1, sha("right"))
    other = output(TASK.id, THIRD, 2, "another")
    assert why(desk.commit(other, (verdict(other, OTHER),), 2)) is Refused.COMMITTED


def test_the_owner_alone_finishes_an_older_value_at_a_new_epoch() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    desk.now += 60
    desk.lease(THIRD, 2)
    proof = (verdict(MADE, OTHER),)
    assert why(desk.commit(MADE, proof, 1)) is Refused.STALE
    assert why(desk.commit(MADE, proof, 2, peer=FOURTH)) is Refused.UNPROVEN
    ack = desk.commit(MADE, proof, 2, peer=OWNER)
    assert isinstance(ack, Ack)
    assert ack.epoch == 2


def test_a_witness_that_lost_its_memory_waits_one_lease_for_older_tasks_only() -> None:
    young = Desk(born=NOW - 5)
    refused = young.lease(WORKER, 1)
    assert why(refused) is Refused.WARMING
    assert isinstance(refused, Refusal)
    assert refused.wait_seconds == 10
    young.now += 10
    assert isinstance(young.lease(WORKER, 1), Grant)
    fresh = entry(OWNER, replace(TASK, began=int(NOW - 5)))
    assert isinstance(Desk(born=NOW - 5).lease(WORKER, 1, fresh), Grant)


def test_after_a_restart_stored_leases_start_anew() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    desk.now += 20
    desk.booted = desk.now - 5
    assert why(desk.lease(OTHER, 2)) is Refused.BUSY
    desk.now += 10
    assert isinstance(desk.lease(OTHER, 2), Grant)


def test_a_clock_set_back_prolongs_no_lease_beyond_its_length() -> None:
    desk = Desk()
    desk.lease(WORKER, 1)
    desk.now -= 1_000
    refused = desk.lease(OTHER, 2)
    assert isinstance(refused, Refusal)
    assert refused.wait_seconds == 15


# Safety under arbitrary histories of three workers, four witnesses and an impatient owner.

WORKERS = DEVICES[1:4]
WITNESSES = TASK.committee.witnesses
Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("lease", "lease", "commit", "commit", "free", "wait", "forget")),
        st.integers(0, 2),
        st.integers(0, 7),  # from 4 on: all four witnesses, one after the other
        st.integers(1, 4),
    ),
    max_size=40,
)


@dataclass
class History:
    """What four witnesses granted and acked. `quorum` is what the world believes to be enough."""

    quorum: int = 3
    forgetful: bool = False
    now: float = NOW
    desks: list[Desk] = field(default_factory=list)
    acked: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    leases: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        self.desks = [Desk(device=device) for device in WITNESSES]

    def play(self, steps: Sequence[Step]) -> "History":
        for action, who, where, epoch in steps:
            if not self.safe():
                break
            for one in range(4) if where >= 4 else (where,):
                self._step(action, who, one, epoch)
        return self

    def _step(self, action: str, who: int, where: int, epoch: int) -> None:
        desk, worker = self.desks[where], WORKERS[who]
        desk.now = self.now
        if action == "wait":
            self.now += epoch
        elif action == "forget" and self.forgetful:
            desk.cell = None
        elif action == "lease":
            grant = desk.lease(worker, epoch)
            if isinstance(grant, Grant):
                self.leases[who][where] = self.now + grant.seconds
        elif action == "free":
            answer = desk.ask(worker, FreeLease(task=TASK.id, epoch=epoch))
            if isinstance(answer, EpochRead) and answer.epoch == epoch:
                self.leases[who].pop(where, None)
        elif action == "commit":
            made = output(TASK.id, worker, epoch, f"by {who}")
            ack = desk.commit(made, (verdict(made, DEVICES[6]),), epoch)
            if isinstance(ack, Ack):
                self.acked[ack.output].add(where)

    def safe(self) -> bool:
        committed = [sha_ for sha_, where in self.acked.items() if len(where) >= self.quorum]
        holders = [
            who
            for who, grants in self.leases.items()
            if sum(until > self.now for until in grants.values()) >= self.quorum
        ]
        return len(committed) <= 1 and len(holders) <= 1


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_never_two_committed_outputs_and_never_two_holders(steps: list[Step]) -> None:
    assert History().play(steps).safe()


def breaks(history: History, steps: Sequence[Step]) -> bool:
    return not history.play(steps).safe()


SEARCH = settings(
    max_examples=1_000,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # that a history is found matters, not how short it can get
)


def test_the_check_has_teeth_a_quorum_of_two_of_four_breaks() -> None:
    assert find(STEPS, lambda steps: breaks(History(quorum=2), steps), settings=SEARCH)


def test_the_check_has_teeth_a_forgetful_witness_breaks() -> None:
    assert find(STEPS, lambda steps: breaks(History(forgetful=True), steps), settings=SEARCH)


def test_the_check_has_teeth_leases_that_never_run_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Span, "left", lambda self, now, booted: 0.0)
    assert find(STEPS, lambda steps: breaks(History(), steps), settings=SEARCH)


def test_without_a_mutant_the_same_search_finds_nothing() -> None:
    small = settings(SEARCH, max_examples=200)
    with pytest.raises(NoSuchExample):
        find(STEPS, lambda steps: breaks(History(), steps), settings=small)
