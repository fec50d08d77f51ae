"""Readers of one task: whatever reaches them in whatever order, they agree, and a commit stays.

A machine of Hypothesis invents the history: the owner signs, seals and re-signs; workers make
outputs, verifiers judge; real witnesses (the ones of the core) ack or refuse; strangers add noise.
Entries reach three readers late, doubled, out of order or never.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pockethive.core.entry import Close, CloseReason, Commit, Entry, Output
from pockethive.core.fold import TaskView, fold
from pockethive.core.lease import (
    Ack,
    AskCommit,
    AskLease,
    Propose,
    Seal,
    Sealed,
    WitnessAnswer,
    WitnessRequest,
)
from pockethive.core.lifecycle import Status
from pockethive.core.sealing import sealing, succession, successor
from pockethive.core.table_plan import sign_answer
from pockethive.core.task import Committee, DeviceId
from pockethive.core.witness import Witness, WitnessAsked
from tests.core.core_play import DEVICES, acks, entry, make_task, output, sign, verdict, verify

OWNER, STRANGER = DEVICES[0], DEVICES[6]
WORKERS = DEVICES[1:4]
COMMITTEES = (DEVICES[0:4], DEVICES[1:5], DEVICES[2:6])
READERS = 3
TEXT = st.sampled_from(["right", "wrong"])
REACHED = st.sampled_from([(0, 1, 2, 3), (0, 1, 2), (1, 2, 3), (0, 2, 3), (0, 1), (2, 3), ()])
"""Which witnesses a device reaches: mostly a quorum of three."""


class Readers(RuleBasedStateMachine):
    """`said`: all entries there are. `seen`: what each reader has got, as a bag."""

    @initialize()
    def begin(self) -> None:
        self.task = make_task(witnesses=COMMITTEES[0])
        self.now = float(self.task.began) + 10
        self.cells: dict[DeviceId, bytes | None] = dict.fromkeys(DEVICES)
        self.said: list[Entry] = []
        self.seen: list[list[Entry]] = [[] for _ in range(READERS)]
        self.committed: list[str | None] = [None] * READERS
        self.epoch = 0
        self.made: list[Entry] = []
        self.say(entry(OWNER, self.task))

    def say(self, one: Entry) -> Entry:
        self.said.append(one)
        return one

    def ask(self, peer: DeviceId, witness: DeviceId, request: WitnessRequest) -> WitnessAnswer:
        asked = WitnessAsked(peer=peer, request=request, born=0.0)
        self.cells[witness], answer = Witness(witness, verify).decide(
            self.cells[witness], asked, self.now
        )
        return sign_answer(answer, witness, sign)

    @property
    def signed(self) -> Entry:
        return next(e for e in reversed(self.said) if e.body == self.task and e.author == OWNER)

    # what devices do

    @rule(
        who=st.sampled_from(WORKERS),
        text=TEXT,
        reached=REACHED,
    )
    def work(self, who: DeviceId, text: str, reached: tuple[int, ...]) -> None:
        """A device gets the lease from those witnesses it reaches, and makes something."""
        self.now += 60
        self.epoch += 1
        made = output(self.task.id, who, self.epoch, text)
        for number in reached:
            witness = self.task.committee.witnesses[number]
            lease = AskLease(task=self.task.id, epoch=self.epoch, seconds=15, entry=self.signed)
            self.ask(who, witness, lease)
            hold = Propose(task=self.task.id, epoch=self.epoch, seconds=15, output=made)
            self.ask(who, witness, hold)
        self.made.append(self.say(made))

    @precondition(lambda self: self.made)
    @rule(data=st.data(), accept=st.booleans(), by=st.sampled_from(DEVICES))
    def judge(self, data: st.DataObject, accept: bool, by: DeviceId) -> None:
        self.say(verdict(data.draw(st.sampled_from(self.made)), by, accept=accept))

    @rule(who=st.sampled_from(WORKERS), text=TEXT, reached=REACHED, acking=REACHED)
    def work_and_commit(
        self, who: DeviceId, text: str, reached: tuple[int, ...], acking: tuple[int, ...]
    ) -> None:
        self.work(who, text, reached)
        self.ask_for_acks(self.made[-1], acking)

    @precondition(lambda self: self.made)
    @rule(data=st.data(), reached=REACHED)
    def commit(self, data: st.DataObject, reached: tuple[int, ...]) -> None:
        self.ask_for_acks(data.draw(st.sampled_from(self.made)), reached)

    def ask_for_acks(self, made: Entry, reached: tuple[int, ...]) -> None:
        """The owner asks for acks; what comes of them is published, enough or not."""
        assert isinstance(made.body, Output)
        judge = next(d for d in DEVICES if d != made.author)
        request = AskCommit(
            task=self.task.id,
            epoch=self.epoch,
            output=made.body.output,
            evidence=(made, self.say(verdict(made, judge))),
        )
        votes = []
        for number in reached:
            witness = self.task.committee.witnesses[number]
            answer = self.ask(OWNER, witness, request)
            if isinstance(answer, Ack):
                votes.append((witness, answer.signature))
        generation = self.task.committee.generation
        body = Commit(
            task=self.task.id,
            generation=generation,
            epoch=self.epoch,
            output=made.body.output,
            acks=tuple(votes),
        )
        self.say(entry(OWNER, body))

    @precondition(lambda self: self.made and self.task.committee.generation < len(COMMITTEES))
    @rule(reached=REACHED)
    def replace(self, reached: tuple[int, ...]) -> None:
        """The owner replaces the witnesses, if enough of them seal."""
        committee = self.task.committee
        heir = Committee(witnesses=COMMITTEES[committee.generation], quorum=3)
        request = Seal(
            task=self.task.id,
            generation=committee.generation,
            successor=successor(heir),
            entry=self.signed,
        )
        answers = [
            (witness, self.ask(OWNER, witness, request))
            for witness in (committee.witnesses[number] for number in reached)
        ]
        seals = [(witness, answer) for witness, answer in answers if isinstance(answer, Sealed)]
        left = succession(committee, (seal for _, seal in seals), 15)
        if left is None:
            return
        self.say(entry(OWNER, sealing(seals)))
        heir = replace(
            heir, generation=committee.generation + 1, epoch_base=left.base, bound=left.bound
        )
        self.task = replace(self.task, committee=heir)
        self.epoch = max(self.epoch, left.base)
        self.say(entry(OWNER, self.task))

    @rule(reason=st.sampled_from(CloseReason))
    def close(self, reason: CloseReason) -> None:
        self.say(entry(OWNER, Close(task=self.task.id, reason=reason, detail="")))

    @rule(text=st.sampled_from(["right", "wrong", "invented"]), generation=st.integers(1, 3))
    def lie(self, text: str, generation: int) -> None:
        """A stranger signs what it can: an output, a close, a task, a commit with two acks."""
        task = replace(self.task, committee=replace(self.task.committee, generation=generation))
        made = output(task.id, STRANGER, self.epoch + 1, text)
        assert isinstance(made.body, Output)
        votes = acks(task, self.epoch, made.body.output, 2)
        forged = Commit(
            task=task.id,
            generation=generation,
            epoch=self.epoch,
            output=made.body.output,
            acks=(*votes, (votes[0][0], votes[1][1])),
        )
        self.say(made)
        self.say(entry(STRANGER, forged))
        self.say(entry(STRANGER, Close(task=task.id, reason=CloseReason.LOST, detail="")))
        self.say(entry(STRANGER, task))  # it is not the owner it names

    # what reaches readers

    @rule(data=st.data(), reader=st.integers(0, READERS - 1), times=st.integers(1, 2))
    def read(self, data: st.DataObject, reader: int, times: int) -> None:
        some = data.draw(st.lists(st.sampled_from(self.said), max_size=8))
        self.seen[reader].extend(some * times)
        self.check(reader)

    @rule(reader=st.integers(0, READERS - 1))
    def read_everything(self, reader: int) -> None:
        self.seen[reader].extend(reversed(self.said))
        self.check(reader)

    def check(self, reader: int) -> None:
        """What a reader took for committed it never takes back, nor for anything else."""
        view = self.view(self.seen[reader])
        now = view.output if view is not None and view.status is Status.COMMITTED else None
        before = self.committed[reader]
        assert before in (None, now), (before, now)
        self.committed[reader] = now

    def view(self, entries: list[Entry]) -> TaskView | None:
        return fold(entries, verify, self.task.id)

    @invariant()
    def nobody_disagrees_about_a_commit(self) -> None:
        assert len(set(filter(None, self.committed))) <= 1

    @invariant()
    def order_and_repetition_say_nothing(self) -> None:
        entries = self.seen[0]
        assert self.view(entries) == self.view([*reversed(entries), *entries])

    def teardown(self) -> None:
        """In the end all have everything, and see the same."""
        views = [self.view([*seen, *self.said]) for seen in self.seen]
        assert all(view == views[0] for view in views)
        for committed in filter(None, self.committed):
            assert views[0] is not None
            assert (views[0].status, views[0].output) == (Status.COMMITTED, committed)


TestReaders = Readers.TestCase
TestReaders.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
