"""Doubts: what one device of a stranger did wrong counts against all that stranger brings."""

from dataclasses import replace

from pockethive.core.credibility import LEAST_IN_A_ROW
from pockethive.core.effects import Effect, Ping, Publish, Send, SignEntry
from pockethive.core.entry import Entry, Kind, Member
from pockethive.core.events import (
    EntryArrived,
    GraphOpened,
    MembersChanged,
    PingAnswered,
    TimerFired,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.ledger_doubts import doubted
from pockethive.core.ledger_state import TaskState
from pockethive.core.message import Made, Offer, VerifyOffer
from pockethive.core.people import Past, spread, voters, workers
from pockethive.core.task import DeviceId, Task
from tests.core.core_play import (
    CHECKED,
    DEVICES,
    OWNER_KEY,
    RUN,
    device,
    entry,
    grants,
    make_task,
    member,
    output,
    planned,
    sha,
    verdict,
)
from tests.core.ledger_play import claim, new_ledger, of, said

OWNER = DEVICES[0]
CROWD_KEY, PEOPLE_KEYS = sha("crowd")[:43], tuple(sha(f"person {n}")[:43] for n in range(3))
CROWD = tuple(device(number) for number in range(50, 55))
PEOPLE = DEVICES[1:4]
NAMES = tuple(f"t{number}" for number in range(LEAST_IN_A_ROW + 3))


def hive(owners: tuple[str, ...] = PEOPLE_KEYS) -> tuple[Member, ...]:
    """The run's owner, people with a device each, and somebody with five."""
    people = tuple(member(who, key) for who, key in zip(PEOPLE, owners, strict=True))
    return (member(OWNER), *people, *(member(who, CROWD_KEY) for who in CROWD))


class Play:
    """A ledger, and what was invited so far."""

    def __init__(self, members: tuple[Member, ...] | None = None, verdicts: int = 1) -> None:
        how = replace(CHECKED, verdicts=verdicts)
        graph = TaskGraph(tuple(planned(name, verification=how) for name in NAMES))
        self.ledger, self.now = new_ledger(attempts=20), 1.0
        self.ledger.handle(MembersChanged(members=members or hive()), 0.0)
        effects = [*self.ledger.handle(GraphOpened(run=RUN, graph=graph), 0.0)]
        for ping in [effect for effect in effects if isinstance(effect, Ping)]:
            effects += self.ledger.handle(PingAnswered(device=ping.device, alive=True), 0.0)
        bodies = [effect.body for effect in effects if isinstance(effect, Publish)]
        self.tasks = [body for body in bodies if isinstance(body, Task)]
        for task in self.tasks:
            self.ledger.handle(EntryArrived(entry=entry(OWNER, task)), 0.1)

    def made(self, task: Task, maker: DeviceId, epoch: int) -> tuple[Entry, tuple[Effect, ...]]:
        """A device claims a task and makes an output of it."""
        proof = grants(task, maker, epoch)
        self.ledger.handle(said(maker, claim(task, epoch, grants=proof)), self.now)
        out = output(task.id, maker, epoch, text=f"{task.id} {epoch}")
        return out, self.ledger.handle(said(maker, Made(entry=out, grants=proof)), self.now)

    def judges(self, effects: tuple[Effect, ...]) -> list[DeviceId]:
        """Who is invited, after the invitations are signed."""
        words = [entry(OWNER, e.body) for e in of(SignEntry, effects) if e.kind is Kind.INVITE]
        found = []
        for word in words:
            sent = of(Send, self.ledger.handle(EntryArrived(entry=word), self.now))
            found += [send.to for send in sent if isinstance(send.message, VerifyOffer)]
        return found

    def tick(self, seconds: float) -> tuple[Effect, ...]:
        self.now += seconds
        return self.ledger.handle(TimerFired(name="tick"), self.now)

    def rejected(self, task: Task, maker: DeviceId, *, friends: int = 0) -> list[DeviceId]:
        """As many devices reject what a device made as it takes; so many accept it before."""
        made, effects = self.made(task, maker, 1)
        asked: list[DeviceId] = []
        for _ in range(10):
            judges, effects = self.judges(effects), ()
            for judge in judges:
                asked.append(judge)
                word = verdict(made, judge, accept=len(asked) <= friends)
                effects += self.ledger.handle(said(judge, Made(entry=word)), self.now)
            if self.state(task).failures:
                return asked
        raise AssertionError(self.state(task).story)

    def state(self, task: Task) -> TaskState:
        """What the ledger has of it."""
        return self.ledger._runs[RUN].tasks[task.name]

    def offers(self, task: Task) -> list[DeviceId]:
        """To whom a task is offered, in the order in which they hear of it first."""
        found: dict[DeviceId, None] = {}
        for _ in range(40):
            for send in of(Send, self.tick(0.5)):
                if isinstance(send.message, Offer) and send.message.task == task.id:
                    found.setdefault(send.to)
        return list(found)

    @property
    def doubted(self) -> frozenset[str]:
        return doubted(self.ledger._runs[RUN])


def test_after_one_wrong_output_every_task_is_offered_to_all_others_before_that_stranger() -> None:
    play = Play()
    play.rejected(play.tasks[0], CROWD[0])
    assert play.doubted == {CROWD_KEY}
    for task in play.tasks[:3]:
        offered = play.offers(task)
        assert set(offered[:4]) == {OWNER, *PEOPLE}
        assert set(offered[4:]) <= set(CROWD), "and where they do not take it, it is not stuck"


def test_where_nobody_else_is_those_in_doubt_are_asked() -> None:
    members = tuple(
        replace(each, works=False) if each.owner_key != CROWD_KEY else each for each in hive()
    )
    play = Play(members)
    play.rejected(play.tasks[0], CROWD[0])
    assert set(play.offers(play.tasks[1])) == set(CROWD)


def test_the_run_s_own_owner_is_never_in_doubt() -> None:
    play = Play(hive((OWNER_KEY,) * 3))
    play.rejected(play.tasks[0], PEOPLE[0])
    assert play.doubted == frozenset()


def test_ten_right_outputs_in_a_row_end_a_doubt() -> None:
    play = Play()
    state = play.state(play.tasks[0])
    desk = play.ledger._credit._doubts
    play.rejected(play.tasks[0], CROWD[0])
    for number in range(LEAST_IN_A_ROW):
        assert CROWD_KEY in play.doubted, number
        desk.saw(state, CROWD[number % len(CROWD)], valid=True)
    assert play.doubted == frozenset()
    desk.saw(state, CROWD[1], valid=False)
    assert play.doubted == {CROWD_KEY}


def test_a_judge_whom_more_devices_contradict_is_in_doubt_too() -> None:
    play = Play(verdicts=2)
    owners = {each.device: each.owner_key for each in hive()}
    friend, *_ = play.rejected(play.tasks[0], PEOPLE[0], friends=1)
    assert play.doubted == {owners[PEOPLE[0]], owners[friend]} - {OWNER_KEY}


def test_who_is_in_doubt_judges_last() -> None:
    play = Play()
    play.rejected(play.tasks[0], CROWD[0])
    _, effects = play.made(play.tasks[1], OWNER, 1)
    asked: list[DeviceId] = []
    for _ in range(10):
        judges, effects = play.judges(effects), ()
        for judge in judges:
            asked.append(judge)
            busy = claim(play.tasks[1], 1, "unchecked", "busy")
            effects += play.ledger.handle(said(judge, busy), play.now)
    assert set(asked[:3]) == set(PEOPLE)
    assert set(asked[3:]) <= set(CROWD)


def test_many_devices_of_a_stranger_are_one_where_several_minds_are_wanted() -> None:
    owners = {each.device: each.owner_key for each in hive()}
    ordered = spread((*CROWD, *PEOPLE), owners, OWNER_KEY)
    assert ordered == (CROWD[0], *PEOPLE, *CROWD[1:])
    assert spread(CROWD, owners, CROWD_KEY) == CROWD, "the run's owner's each count"


def test_in_doubt_comes_after_blamed_and_what_is_ready_before_all() -> None:
    task = make_task(verdicts=1)
    fit = workers(
        task, hive(), set(), Past(first=CROWD[:1], blamed=PEOPLE[:1], doubted=(CROWD_KEY,))
    )
    assert fit[0] == CROWD[0]
    assert fit[4] == PEOPLE[0]
    assert set(fit[5:]) <= set(CROWD)
    votes = voters(task, hive(), [each.device for each in hive()], (), (CROWD_KEY,))
    assert votes[-1] in CROWD
    assert len(votes) == 5
