"""Rows of a journal: read back as they were written, bounded, and nothing else is read."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import encode
from pockethive.core.credibility import Credit, Standing
from pockethive.core.effects import TellCoordinator
from pockethive.core.errors import BadEncoding, ProtocolError
from pockethive.core.events import (
    BudgetSpent,
    CancelRequested,
    CreditsRead,
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphPlanned,
    MembersChanged,
    MessageArrived,
    OwnerAnswered,
    PingAnswered,
    PlanningFailed,
    QuestionShown,
    Restarted,
    RunAdopted,
    RunMoved,
    SendFailed,
    SkillDone,
    SkillFailed,
    TaskRead,
    TaskReopened,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.journal_codec import Next, RowReader, RowWriter, changed_list, take_changed
from pockethive.core.labels import Label
from pockethive.core.lease import Accepted, Ack, EpochRead, Refusal, Refused
from pockethive.core.message import AskOffer, Made, Progress, VerifyOffer
from pockethive.core.replay import MACHINES, concerns
from pockethive.core.table_entries import opened_entry
from pockethive.core.task import Deadline, EdgeKind
from tests.core.core_play import (
    DEVICES,
    RUN,
    device,
    edge,
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

TASK = make_task()
MADE = output(TASK.id, DEVICES[1])
GRAPH = TaskGraph(
    (
        planned("a", params={"question": "why?", "deep": [[[{"x": [1, None, True]}]]]}),
        planned("b", place=DEVICES[2], label=Label.DEVICE, turn=3, deadline=Deadline(2, 9)),
        planned("c", (edge("a", "b", kind=EdgeKind.ARRIVED_BY, count=1, seconds=9),)),
    )
)
texts = st.text(st.characters(codec="utf-8"), max_size=50)
floats = st.floats(0, 2.0**40)


def progress(**how: Any) -> Progress:
    return Progress(
        task=TASK.id,
        epoch=3,
        state="claimed",
        reason="é",
        grants=grants(TASK, DEVICES[1], 3, Accepted(2, sha("x"))),
        **how,
    )


UNSENT = SendFailed(
    to=DEVICES[2],
    message=VerifyOffer(
        task=TASK.id,
        entry=entry(DEVICES[0], TASK),
        output=MADE,
        invite=invite(MADE, DEVICES[2]),
    ),
)
EVENTS: tuple[Event, ...] = (
    GraphPlanned(run=RUN, graph=GRAPH),
    RunAdopted(
        run=RUN,
        goal="wärum?",
        wall=1_900_000_000.25,
        graph=GRAPH,
        withheld=frozenset(("b", "a")),
        claim=entry(DEVICES[0], TASK),
    ),
    CreditsRead(
        credits=(
            Credit(device=DEVICES[1], model=sha("m"), standing=Standing(3, 4, 5)),
            Credit(device=DEVICES[2], model="", standing=Standing()),
        )
    ),
    EntryArrived(entry=entry(DEVICES[0], TASK)),
    TaskRead(task=TASK.id, entries=()),
    TaskRead(task=TASK.id, entries=(entry(DEVICES[0], TASK), MADE)),
    MessageArrived(sender=DEVICES[1], message=progress()),
    MessageArrived(sender=DEVICES[1], message=Made(entry=MADE, grants=grants(TASK, DEVICES[1]))),
    MessageArrived(sender=DEVICES[2], message=Made(entry=verdict(MADE, DEVICES[2]))),
    MessageArrived(
        sender=DEVICES[3],
        message=AskOffer(key=sha("k"), entry=entry(DEVICES[3], member(DEVICES[3]))),
    ),
    UNSENT,
    WitnessAnswered(ask=f"{TASK.id}#1", witness=DEVICES[1], answer=None),
    WitnessAnswered(
        ask="x", witness=DEVICES[1], answer=EpochRead(task=TASK.id, epoch=1, accepted=None)
    ),
    WitnessAnswered(
        ask="x",
        witness=DEVICES[1],
        answer=Refusal(
            task=TASK.id,
            reason=Refused.COMMITTED,
            epoch=2,
            wait_seconds=3,
            accepted=Accepted(1, sha("o")),
        ),
    ),
    WitnessAnswered(
        ask="x",
        witness=DEVICES[1],
        answer=Ack(task=TASK.id, generation=1, epoch=2, output=sha("o")),
    ),
    PingAnswered(device=DEVICES[4], alive=True),
    SkillDone(
        task=TASK.id,
        epoch=1,
        output=sha("o"),
        size=3,
        model="",
        inputs=(("a", sha("a")),),
        tokens=7,
    ),
    SkillFailed(task=TASK.id, epoch=2, reason="é"),
    QuestionShown(task=TASK.id, epoch=2, output=sha("o"), shown=False),
    OwnerAnswered(task=TASK.id, epoch=2, output=sha("o"), accept=False, reason="é" * 250),
    PingAnswered(device=DEVICES[4], alive=False),
)


def opened(wire: bytes) -> Any:
    return opened_entry(wire, verify)


def again(event: Event) -> object:
    row = RowWriter().row(event)
    assert encode(orjson.loads(row)) == row
    return RowReader(opened).event(row)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_back_as_it_was_written(event: Event) -> None:
    assert again(event) == event


@given(texts, floats)
def test_text_and_times_are_read_back_to_the_last_bit(text: str, seconds: float) -> None:
    events: tuple[Event, ...] = (
        GoalSubmitted(run=RUN, goal=text, wall=seconds),
        PlanningFailed(run=RUN, reason=text),
        CancelRequested(run=RUN, reason=text),
        TimerFired(name=text),
        Restarted(wall=seconds),
    )
    for event in events:
        assert again(event) == event


@given(st.lists(st.lists(st.sampled_from(DEVICES), unique=True, max_size=7), max_size=8))
def test_lists_of_members_are_read_back_from_what_changed(lists: list[list[Any]]) -> None:
    writer, reader = RowWriter(), RowReader(opened)
    for devices in lists:
        event = MembersChanged(members=tuple(map(member, devices)))
        assert reader.event(writer.row(event)) == event
    assert reader.members == (tuple(map(member, lists[-1])) if lists else ())


def test_a_member_more_among_hundreds_is_a_small_row() -> None:
    many = tuple(member(device(number)) for number in range(10, 310))
    one_more = (*many[:100], member(DEVICES[1]), *many[101:])
    assert len(encode(changed_list(many, one_more))) < 600
    assert take_changed(many, changed_list(many, one_more)) == one_more
    assert len(encode(changed_list((), many))) > 50_000


def test_what_one_machine_says_to_the_other_is_written_as_its_turn() -> None:
    derived = (
        GraphClosed(run=RUN, detail="x"),
        TaskReopened(run=RUN, task="a"),
        BudgetSpent(run=RUN, reason="tokens"),
        RunMoved(run=RUN, reason="x"),
    )
    for event in derived:
        assert again(event) == Next(type(event).__name__, RUN)
    assert TellCoordinator(event=TaskReopened(run=RUN, task="a"))


def test_whatever_concerns_a_machine_has_a_row() -> None:
    for event in EVENTS:
        if any(concerns(machine, event) for machine in MACHINES):
            assert RowWriter().row(event)
    told = MessageArrived(sender=DEVICES[0], message=UNSENT.message)
    assert not any(concerns(machine, told) for machine in MACHINES)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_row(data: bytes) -> None:
    with pytest.raises(BadEncoding):
        RowReader(opened).event(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(EVENTS), st.data())
def test_a_damaged_row_is_refused_or_reads_as_itself(event: Event, data: st.DataObject) -> None:
    row = orjson.loads(RowWriter().row(event))
    place = data.draw(st.integers(0, len(row) - 1))
    row[place] = data.draw(VALUES)
    wire = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    reader = RowReader(opened)
    try:
        read = reader.event(wire)
    except ProtocolError:
        return
    assert not isinstance(read, Next)
    assert RowWriter().row(read) == wire


@pytest.mark.parametrize(
    "row",
    [
        [1, "timer", "x"],
        [True, "timer", "x"],
        [2, "timer"],
        [2, "timer", "x", 1],
        [2, "nobody", "x"],
        [2, "next", "TimerFired", RUN],
        [2, "restarted", "0x1p"],
        [2, "restarted", "1.5"],
        [2, "goal", RUN, "x", "-0x1.0000000000000p+0"],
        [2, "members", [[0, 1]]],
        [2, "graph", RUN, []],
        {"v": 1},
    ],
    ids=str,
)
def test_other_versions_forms_and_names_are_refused(row: object) -> None:
    with pytest.raises(BadEncoding):
        RowReader(opened).event(encode(row))
