"""The ledger whatever comes: what is refused changes nothing, and nothing due is overlooked."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.core import lifecycle
from pockethive.core.canonical import to_text
from pockethive.core.effects import Effect
from pockethive.core.errors import IllegalMove, ProtocolError
from pockethive.core.events import (
    Event,
    GraphOpened,
    PingAnswered,
    SendFailed,
    TimerFired,
    WitnessAnswered,
)
from pockethive.core.graph import TaskGraph
from pockethive.core.lease import Accepted, Ack, ack_bytes
from pockethive.core.ledger import Ledger, LedgerSettings
from pockethive.core.lifecycle import Move, Status
from pockethive.core.message import LetGo, Made, Message, VerifyOffer
from pockethive.core.spec import Limits
from pockethive.core.task import RunId, Task
from tests.core.core_play import (
    DEVICES,
    OWNER_KEY,
    RUN,
    edge,
    grants,
    output,
    planned,
    research,
    sha,
    sign,
    verdict,
    verify,
)
from tests.core.ledger_play import (
    GRAPH,
    OTHER,
    OWNER,
    WORKER,
    claim,
    frozen,
    opened,
    said,
)
from tests.core.test_core_runs import table

# What is refused changes nothing


DEVICE = st.sampled_from(DEVICES[:4])
STATES = st.sampled_from(["claimed", "failed", "returned", "accepted", "checking", "unchecked"])


@st.composite
def events(draw: st.DrawFn, tasks: list[Task]) -> Event:
    """Something that may come to a ledger with these tasks: in order, out of order, or a lie."""
    task, device, epoch = draw(st.sampled_from(tasks)), draw(DEVICE), draw(st.integers(1, 4))
    holder, shown_epoch = draw(st.sampled_from([device, WORKER])), draw(st.sampled_from([epoch, 2]))
    accepted = draw(st.sampled_from([None, Accepted(1, sha("right"))]))
    shown = draw(st.sampled_from([(), grants(task, holder, shown_epoch, accepted)]))
    made = output(task.id, device, epoch)
    signed = to_text(sign(device, ack_bytes(task.id, 1, epoch, sha("right"))))
    ack = Ack(task=task.id, generation=1, epoch=epoch, output=sha("right"), signature=signed)
    letter = LetGo(task=task.id, epoch=epoch, reason="")
    offer = VerifyOffer(task=task.id, entry=made, output=made, invite=made)
    undelivered: list[Message] = [letter, offer]
    possible: list[Event] = [
        said(device, claim(task, epoch, draw(STATES), sha("right"), grants=shown)),
        said(device, Made(entry=made, grants=shown)),
        said(device, Made(entry=verdict(output(task.id, holder, epoch), device))),
        said(
            device,
            Made(entry=verdict(output(task.id, holder, epoch), device, accept=False)),
        ),
        PingAnswered(
            device=device, alive=draw(st.booleans()), process=draw(st.sampled_from(("", "1", "2")))
        ),
        SendFailed(to=device, message=draw(st.sampled_from(undelivered))),
        WitnessAnswered(
            ask=f"{task.id}#{epoch}",
            witness=device,
            answer=draw(st.sampled_from([None, ack])),
        ),
        TimerFired(name="tick"),
        GraphOpened(run=draw(st.sampled_from([RUN, RunId(RUN[::-1])])), graph=GRAPH),
    ]
    return draw(st.sampled_from(possible))


def said_by(ledger: Ledger, event: Event, now: float) -> tuple[Effect, ...] | ProtocolError:
    """The effects, or the error."""
    try:
        return ledger.handle(event, now)
    except ProtocolError as error:
        return error


def feed(ledger: Ledger, event: Event, now: float) -> tuple[Effect, ...] | ProtocolError:
    """The effects; or the error, of which the ledger must have kept nothing."""
    before = frozen(ledger)
    answer = said_by(ledger, event, now)
    if isinstance(answer, ProtocolError):
        assert frozen(ledger) == before, f"{event} was refused and changed something"
    return answer


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_refused_changes_nothing(data: st.DataObject) -> None:
    ledger, tasks = opened()
    now = 0.2
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.sampled_from([0.0, 0.4, 3.0, 20.0]))
        feed(ledger, data.draw(events(tasks)), now)


@pytest.mark.parametrize("move", [Move.CLAIM, Move.PROPOSE, Move.RETRY])
@pytest.mark.parametrize("status", [Status.READY, Status.CLAIMED, Status.PROPOSED])
def test_a_move_that_the_table_lacks_changes_nothing(
    move: Move, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message that would make the move, to a ledger whose table lacks it."""
    ledger, (task, *_) = opened()
    mine = grants(task, WORKER, 1)
    if status is not Status.READY:
        ledger.handle(said(WORKER, claim(task, 1, grants=mine)), 0.5)
    if status is Status.PROPOSED:
        ledger.handle(said(WORKER, Made(entry=output(task.id, WORKER), grants=mine)), 0.6)
    reduced = {key: end for key, end in lifecycle.TABLE.items() if key != (status, move)}
    monkeypatch.setattr(lifecycle, "TABLE", reduced)
    later = grants(task, OTHER, 2, Accepted(1, sha("wrong")))
    messages = {
        Move.CLAIM: [said(OTHER, claim(task, 2, grants=later))],
        Move.PROPOSE: [said(OTHER, Made(entry=output(task.id, OTHER, 2), grants=later))],
        Move.RETRY: [
            said(OTHER, claim(task, 2, "accepted", sha("wrong"), grants=later)),
            *([] if status is Status.READY else [said(WORKER, claim(task, 1, "failed"))]),
        ],
    }
    for message in messages[move]:
        assert isinstance(feed(ledger, message, 1.0), IllegalMove)


# What is looked at again


class Eager(Ledger):
    """Looks at every task whenever it looks at any: what the ledger's agenda must not change."""

    def _tend_run(self, run: Any, now: float) -> Iterator[Effect]:
        run.agenda.mark_all()
        yield from super()._tend_run(run, now)


@pytest.mark.parametrize("seed", range(8))
def test_looking_only_at_what_changed_has_the_same_effects(seed: int) -> None:
    chain = (planned(f"t-{n}", (edge(f"t-{n - 1}"),) if n else ()) for n in range(6))
    graph = TaskGraph((*chain, *research(DEVICES[1:4]).tasks))
    played = table(
        f"eager {seed}",
        count=5,
        loss=0.05,
        doubled=0.1,
        crashes={DEVICES[3]: 1.0 + seed},
        liars=frozenset({DEVICES[4]}),
    )
    played.run(graph, seconds=900.0)
    lines = [line for line in played.transcript if line.machine == "ledger"]
    own = LedgerSettings(device=OWNER, owner_key=OWNER_KEY, limits=Limits())
    careful, eager = Ledger(own, verify), Eager(own, verify)
    for line in lines:
        expected = eager.handle(copy.copy(line.event), line.at)
        assert careful.handle(line.event, line.at) == expected == line.effects


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_comes_the_agenda_misses_nothing(data: st.DataObject) -> None:
    ledger, tasks = opened()
    eager = copy.deepcopy(ledger)
    eager.__class__ = Eager
    now = 0.2
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.sampled_from([0.0, 0.4, 3.0, 20.0]))
        event = data.draw(events(tasks))
        assert str(said_by(ledger, event, now)) == str(said_by(eager, event, now))
