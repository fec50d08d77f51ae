"""What coordinator and ledger were told, as the rows of a journal: one event, one short form.

A row is the canonical bytes of a list `[version, name, …]`. Writing is cheap, for it stands in the
way of every step: only what this device itself holds already is written, and nothing is checked.
Guards: reading is strict and bounded, like all that is read; what a row means follows from the rows
before it alone: of a list of members only what changed is written, and of what one machine
says to the other only that its turn came.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import orjson

from pockethive.core.canonical import decode, encode, from_text, to_text
from pockethive.core.credibility import Credit, Standing
from pockethive.core.entry import Kind, Member
from pockethive.core.entry_codec import MAX_BODY, MAX_TOKENS, decode_body, encode_body
from pockethive.core.errors import BadEncoding
from pockethive.core.events import (
    BudgetSpent,
    CancelRequested,
    CreditsRead,
    EntryArrived,
    Event,
    GoalSubmitted,
    GraphClosed,
    GraphOpened,
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
    TaskEnded,
    TaskRead,
    TaskReopened,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.fields import MAX_TIME, REASON, Fields, sha
from pockethive.core.graph_codec import graph_list, take_graph
from pockethive.core.lease_codec import (
    MAX_MESSAGE,
    MAX_WIRE,
    OpenEntry,
    answer_object,
    decode_answer,
    take_entry,
)
from pockethive.core.message_codec import decode_message, message_object
from pockethive.core.question import MAX_REMARK
from pockethive.core.task_codec import MAX_SOURCES

JOURNAL_VERSION: Final = 2
MAX_ROW: Final = 64 * 2**20
"""Bytes of a row; only graphs are large."""
MAX_TEXT: Final = 200_000  # bytes of a goal, or of a reason
_MAX_LISTED: Final = 20_000  # members, credits
_MAX_ASK: Final = 200

Derived = GraphOpened | GraphClosed | TaskEnded | TaskReopened | BudgetSpent | RunMoved
"""What coordinator and ledger say to one another: it follows from the rows before it."""
_DERIVED: Final[tuple[type, ...]] = get_args(Derived)


@dataclass(frozen=True, slots=True)
class Next:
    """The turn of something derived: an event of that name, of that run."""

    name: str
    run: str


Row = Event | Next


class RowWriter:
    """Events to rows, in the order in which they happened."""

    def __init__(self, members: tuple[Member, ...] = ()) -> None:
        self._members = members

    def row(self, event: Event) -> bytes:
        """One event's. Raises KeyError for one that neither machine is told."""
        if isinstance(event, MembersChanged):
            before, self._members = self._members, event.members
            return _packed("members", changed_list(before, event.members))
        name, parts = _WRITERS[type(event)]
        return _packed(name, *parts(event))


class RowReader:
    """Rows to events, in the order in which they were written."""

    def __init__(self, open_entry: OpenEntry) -> None:
        self._open = open_entry
        self.members: tuple[Member, ...] = ()
        """As the rows so far have it: where a writer of further rows begins."""

    def event(self, data: bytes) -> Row:
        """What a row says.

        Raises:
            BadEncoding: not a row of this version.
            ProtocolError: an entry inside that `open_entry` refuses.
        """
        row = decode(data, MAX_ROW)
        if not isinstance(row, list) or len(row) < 2 or type(row[0]) is not int:
            raise BadEncoding("journal: not a row")
        if row[0] != JOURNAL_VERSION:
            raise BadEncoding(f"journal: a row of version {row[0]}, not {JOURNAL_VERSION}")
        if row[1] == "members" and len(row) == 3:
            self.members = take_changed(self.members, row[2])
            return MembersChanged(members=self.members)
        if not isinstance(row[1], str) or row[1] not in _READERS:
            raise BadEncoding(f"journal: nobody knows {str(row[1])[:40]!r}")
        names, read = _READERS[row[1]]
        if len(row) != len(names) + 2:
            raise BadEncoding(f"journal: {row[1]} has not {len(names)} parts")
        return read(Fields(dict(zip(names, row[2:], strict=True)), f"journal {row[1]}"), self._open)


def _packed(name: str, *parts: object) -> bytes:
    return orjson.dumps((JOURNAL_VERSION, name, *parts), option=orjson.OPT_SORT_KEYS)


def changed_list(old: Sequence[Member], new: Sequence[Member]) -> list[object]:
    """`new` as spans `[from, count]` of `old` and, where there is no such span, bodies."""
    places = {member: place for place, member in enumerate(old)}
    found: list[object] = []
    for member in new:
        place = places.get(member)
        last = found[-1] if found else None
        if place is None:
            found.append(encode_body(member).decode())
        elif isinstance(last, list) and last[0] + last[1] == place:
            last[1] += 1
        else:
            found.append([place, 1])
    return found


def take_changed(old: Sequence[Member], value: object) -> tuple[Member, ...]:
    """The members behind `changed_list`. Raises BadEncoding."""
    if not isinstance(value, list):
        raise BadEncoding("journal: members that are no list")
    found: list[Member] = []
    for item in value:
        if isinstance(item, str):
            body = decode_body(Kind.MEMBER, item.encode()[: MAX_BODY[Kind.MEMBER] + 1])
            assert isinstance(body, Member)
            found.append(body)
            continue
        if not isinstance(item, list) or len(item) != 2:
            raise BadEncoding("journal: a member of another form")
        fields = Fields(dict(zip(("from", "count"), item, strict=True)), "journal members")
        start = fields.whole("from", 0, len(old))
        found += old[start : start + fields.whole("count", 1, len(old) - start)]
        if len(found) > _MAX_LISTED:
            raise BadEncoding(f"journal: more than {_MAX_LISTED} members")
    return tuple(found)


def _credits(event: CreditsRead) -> tuple[object, ...]:
    return (
        [
            [c.device, c.model, c.standing.in_a_row, c.standing.valid, c.standing.invalid]
            for c in event.credits
        ],
    )


def _take_credit(item: object) -> Credit:
    names = ("device", "model", "in_a_row", "valid", "invalid")
    if not isinstance(item, list) or len(item) != len(names):
        raise BadEncoding("journal: a credit of another form")
    fields = Fields(dict(zip(names, item, strict=True)), "journal credit")
    counts = (fields.whole(name, 0, MAX_TIME) for name in names[2:])
    return Credit(
        device=fields.device("device"),
        model=fields.sha("model", empty=True),
        standing=Standing(*counts),
    )


def _derived(event: Derived) -> tuple[object, ...]:
    return type(event).__name__, event.run


_WRITERS: Final[Mapping[type, tuple[str, Callable[[Any], tuple[object, ...]]]]] = {
    GoalSubmitted: ("goal", lambda e: (e.run, e.goal, float(e.wall).hex())),
    RunAdopted: (
        "adopted",
        lambda e: (
            *(e.run, e.goal, float(e.wall).hex(), graph_list(e.graph)),
            *(sorted(e.withheld), to_text(e.claim.wire)),
        ),
    ),
    GraphPlanned: ("graph", lambda e: (e.run, graph_list(e.graph))),
    PlanningFailed: ("no plan", lambda e: (e.run, e.reason)),
    CancelRequested: ("cancel", lambda e: (e.run, e.reason)),
    CreditsRead: ("credits", _credits),
    EntryArrived: ("entry", lambda e: (to_text(e.entry.wire),)),
    MessageArrived: ("letter", lambda e: (e.sender, message_object(e.message))),
    SendFailed: ("unsent", lambda e: (e.to, message_object(e.message))),
    WitnessAnswered: (
        "witness",
        lambda e: (e.ask, e.witness, None if e.answer is None else answer_object(e.answer)),
    ),
    TaskRead: ("read", lambda e: (e.task, [to_text(entry.wire) for entry in e.entries])),
    PingAnswered: ("ping", lambda e: (e.device, e.alive, e.process)),
    TimerFired: ("timer", lambda e: (e.name,)),
    Restarted: ("restarted", lambda e: (float(e.wall).hex(),)),
    SkillDone: ("done", lambda e: (e.task, e.epoch, e.output, e.size, e.model, e.inputs, e.tokens)),
    SkillFailed: ("undone", lambda e: (e.task, e.epoch, e.reason)),
    QuestionShown: ("shown", lambda e: (e.task, e.epoch, e.output, e.shown)),
    OwnerAnswered: ("answer", lambda e: (e.task, e.epoch, e.output, e.accept, e.reason)),
    **dict.fromkeys(_DERIVED, ("next", _derived)),
}


def _entry(fields: Fields, open_entry: OpenEntry) -> EntryArrived:
    return EntryArrived(entry=open_entry(from_text(fields.text("wire", MAX_WIRE, 1))))


def _read(fields: Fields, open_entry: OpenEntry) -> TaskRead:
    task, wires = fields.task("task"), fields.texts("entries", _MAX_LISTED, MAX_WIRE)
    return TaskRead(task=task, entries=tuple(open_entry(from_text(wire)) for wire in wires))


def _letter(fields: Fields, open_entry: OpenEntry) -> MessageArrived:
    sender, message = fields.device("sender"), decode_message(_inner(fields, "message"), open_entry)
    return MessageArrived(sender=sender, message=message)


def _unsent(fields: Fields, open_entry: OpenEntry) -> SendFailed:
    to, message = fields.device("to"), decode_message(_inner(fields, "message"), open_entry)
    return SendFailed(to=to, message=message)


def _witness(fields: Fields, _open: OpenEntry) -> WitnessAnswered:
    said = fields.take("answer")
    answer = None if said is None else decode_answer(encode(said)[: MAX_MESSAGE + 1])
    ask = fields.text("ask", _MAX_ASK)
    return WitnessAnswered(ask=ask, witness=fields.device("witness"), answer=answer)


def _adopted(fields: Fields, open_entry: OpenEntry) -> RunAdopted:
    return RunAdopted(
        run=fields.run("run"),
        goal=fields.text("goal", MAX_TEXT),
        wall=_seconds(fields),
        graph=take_graph(fields),
        withheld=frozenset(fields.texts("withheld", _MAX_LISTED)),
        claim=take_entry(fields, "claim", open_entry),
    )


def _goal(fields: Fields, _open: OpenEntry) -> GoalSubmitted:
    run, goal = fields.run("run"), fields.text("goal", MAX_TEXT)
    return GoalSubmitted(run=run, goal=goal, wall=_seconds(fields))


def _done(fields: Fields, _open: OpenEntry) -> SkillDone:
    return SkillDone(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        size=fields.whole("size", 0, MAX_TIME),
        model=fields.sha("model", empty=True),
        inputs=tuple((n, sha(h, "input")) for n, h in fields.pairs("inputs", MAX_SOURCES)),
        tokens=fields.whole("tokens", 0, MAX_TOKENS),
    )


def _undone(fields: Fields, _open: OpenEntry) -> SkillFailed:
    task, epoch = fields.task("task"), fields.whole("epoch")
    return SkillFailed(task=task, epoch=epoch, reason=fields.text("reason", REASON))


def _shown(fields: Fields, _open: OpenEntry) -> QuestionShown:
    task, epoch, output = fields.task("task"), fields.whole("epoch"), fields.sha("output")
    return QuestionShown(task=task, epoch=epoch, output=output, shown=fields.flag("shown"))


def _answer(fields: Fields, _open: OpenEntry) -> OwnerAnswered:
    return OwnerAnswered(
        task=fields.task("task"),
        epoch=fields.whole("epoch"),
        output=fields.sha("output"),
        accept=fields.flag("accept"),
        reason=fields.text("reason", MAX_REMARK),
    )


def _take_credits(fields: Fields, _open: OpenEntry) -> CreditsRead:
    items = fields.items("credits", _MAX_LISTED)
    return CreditsRead(credits=tuple(_take_credit(item) for item in items))


def _next(fields: Fields, _open: OpenEntry) -> Next:
    name = fields.text("name")
    if name not in {each.__name__ for each in _DERIVED}:
        raise BadEncoding(f"journal: {name[:40]!r} does not follow from anything")
    return Next(name, fields.run("run"))


def _inner(fields: Fields, name: str) -> bytes:
    return encode(fields.take(name))[: MAX_MESSAGE + 1]


def _seconds(fields: Fields) -> float:
    """Unix seconds, to the last bit."""
    text = fields.text("wall", 40, 1)
    try:
        seconds = float.fromhex(text)
    except (ValueError, OverflowError) as error:
        raise BadEncoding(f"journal: {text!r} is no time") from error
    if not 0 <= seconds <= MAX_TIME or seconds.hex() != text:
        raise BadEncoding(f"journal: {text!r} is no time")
    return seconds


Read = Callable[[Fields, OpenEntry], Row]
_READERS: Final[Mapping[str, tuple[tuple[str, ...], Read]]] = {
    "goal": (("run", "goal", "wall"), _goal),
    "adopted": (("run", "goal", "wall", "graph", "withheld", "claim"), _adopted),
    "graph": (("run", "graph"), lambda f, _: GraphPlanned(run=f.run("run"), graph=take_graph(f))),
    "no plan": (
        ("run", "reason"),
        lambda f, _: PlanningFailed(run=f.run("run"), reason=f.text("reason", MAX_TEXT)),
    ),
    "cancel": (
        ("run", "reason"),
        lambda f, _: CancelRequested(run=f.run("run"), reason=f.text("reason", MAX_TEXT)),
    ),
    "credits": (("credits",), _take_credits),
    "entry": (("wire",), _entry),
    "read": (("task", "entries"), _read),
    "letter": (("sender", "message"), _letter),
    "unsent": (("to", "message"), _unsent),
    "witness": (("ask", "witness", "answer"), _witness),
    "ping": (
        ("device", "alive", "process"),
        lambda f, _: PingAnswered(
            device=f.device("device"), alive=f.flag("alive"), process=f.text("process", 16)
        ),
    ),
    "timer": (("name",), lambda f, _: TimerFired(name=f.text("name", REASON))),
    "done": (("task", "epoch", "output", "size", "model", "inputs", "tokens"), _done),
    "undone": (("task", "epoch", "reason"), _undone),
    "shown": (("task", "epoch", "output", "shown"), _shown),
    "answer": (("task", "epoch", "output", "accept", "reason"), _answer),
    "restarted": (("wall",), lambda f, _: Restarted(wall=_seconds(f))),
    "next": (("name", "run"), _next),
}
