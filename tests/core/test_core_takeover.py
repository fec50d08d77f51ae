"""A run goes on from another device of the same owner: played whole, after any row of its owner's.

The owner dies for good, or sleeps and wakes; one device of the same person goes on, or several at
once. Whatever happens: what stood as committed stays, no other output of the task is ever
committed, no committed task is worked on again, and everybody says how it ended.
"""

import random
from dataclasses import replace
from typing import Any

import pytest

from pockethive.core.ballot import RECOMPUTE
from pockethive.core.claim import claims_run
from pockethive.core.credibility import Credit, Standing
from pockethive.core.effects import Effect, RunSkill
from pockethive.core.entry import Commit
from pockethive.core.events import Event
from pockethive.core.graph import TaskGraph
from pockethive.core.journal_codec import JOURNAL_VERSION, RowReader, RowWriter
from pockethive.core.replay import MACHINES, Step, concerns, replay
from pockethive.core.report import Outcome, RunStatus
from pockethive.core.ruling import HUMAN
from pockethive.core.spec import Limits
from pockethive.core.table_seat import seat
from pockethive.core.task import Check, EdgeKind, Policy, TaskId, Verification
from tests.core.core_play import DEVICES, edge, planned, verify
from tests.core.takeover_play import TakeoverTable, own_plan, told

ENTRY = b'[%d,"entry"' % JOURNAL_VERSION
ADAPTIVE = Verification(checks=(Check(Policy.CHECK, "quotation"),), adaptive=True)
ASKED = Verification(checks=(Check(Policy.HUMAN, HUMAN),))
VOTED = Verification(checks=(Check(Policy.RECOMPUTE, RECOMPUTE),))
WIDE = TaskGraph(
    (
        *(planned(f"a-{n}") for n in range(5)),
        planned("b", (edge("a-0", "a-1", kind=EdgeKind.AT_LEAST, count=1), edge("a-2"))),
        planned("c", (edge("b", "a-3"),)),
    )
)
CREDITS = tuple(Credit(device=each, model="", standing=Standing(40, 40, 0)) for each in DEVICES)
PLAYS: dict[str, tuple[dict[str, Any], TaskGraph]] = {
    "quiet": ({}, WIDE),
    "lossy": ({"loss": 0.05, "doubled": 0.1}, WIDE),
    "seven": ({"count": 7}, WIDE),
    "a witness dies": ({"count": 7, "crashes": {DEVICES[3]: 2.0}}, WIDE),
    "liars": ({"count": 6, "liars": frozenset(DEVICES[2:3])}, WIDE),
    "on credit": (
        {"secret": b"of the owner", "credits": CREDITS},
        TaskGraph(tuple(planned(f"a-{n}", verification=ADAPTIVE) for n in range(6))),
    ),
    "a person": (
        {"count": 6, "liars": frozenset(DEVICES[2:3])},
        TaskGraph((*(planned(f"a-{n}", verification=ASKED) for n in range(3)), planned("b"))),
    ),
    "votes": (
        {"count": 6, "liars": frozenset(DEVICES[2:3])},
        TaskGraph(
            (
                *(planned(f"a-{n}", verification=VOTED) for n in range(2)),
                planned("b", (edge("a-0", "a-1"),), verification=VOTED),
            )
        ),
    ),
}
OWNER, HEIR = DEVICES[0], DEVICES[1]


def played(name: str, cut: int, seed: str = "", *, slow: bool = False, **how: Any) -> TakeoverTable:
    changes, graph = PLAYS[name]
    changes = {"limits": Limits(timeout_seconds=400), **changes}
    if slow:  # so that whoever follows finds something to do
        changes = {**changes, "durations": {task.name: 4.0 for task in graph.tasks}}
    count = changes.pop("count", 5)
    table = TakeoverTable(own_plan(f"takeover {name} {seed}", count, **changes), cut, **how)
    table.run(graph, 900.0)
    return table


def rows_of(name: str) -> range:
    """The rows of the owner's journal, from the first after which a run can be found."""
    table = played(name, 0)
    first = next(
        number
        for number, step in enumerate(table.steps)
        if step.row.startswith(ENTRY) and table.claim() is not None
    )
    return range(first + 25, len(table.steps))


def holds(table: TakeoverTable) -> None:
    where = f"{table.plan.seed!r}, cuts {sorted(table.cuts)}"
    ended: dict[str, float] = {}
    outputs: dict[str, set[str]] = {}
    said: dict[str, set[tuple[str, str]]] = {}
    for task, entries in table.entries.items():
        for entry in entries.values():
            if isinstance(entry.body, Commit):
                outputs.setdefault(task, set()).add(entry.body.output)
                said.setdefault(task, set()).add((str(entry.body.epoch), entry.body.output))
    assert all(len(values) == 1 for values in outputs.values()), where
    for stands, commit in table.stood.items():
        assert commit in said[stands], where
        ended[stands] = table.gone_at
    for at, _, effect in told(table, (RunSkill,)):
        assert isinstance(effect, RunSkill)
        task = effect.task.id
        assert at <= ended.get(task, at), f"{task} was done again: {where}"


def same(table: TakeoverTable, outcome: Outcome) -> None:
    """What stood when the owner was gone is reported as it stood."""
    reports = {str(report.id): report for report in outcome.tasks}
    for task, (epoch, output) in table.stood.items():
        report = reports[task]
        assert (str(report.epoch), report.output) == (epoch, output), table.plan.seed


@pytest.mark.parametrize("name", PLAYS)
def test_an_owner_that_is_gone_after_any_row_is_followed_by_another_of_its_persons_devices(
    name: str,
) -> None:
    dice = random.Random(name)
    for cut in sorted(dice.sample(rows_of(name), 8)):
        table = played(name, cut)
        assert table.adopted == [HEIR], cut
        holds(table)
        outcome = table.outcomes[HEIR]
        assert outcome.status is RunStatus.COMPLETED, (cut, outcome.reason)
        same(table, outcome)


def made_by(outcome: Outcome) -> dict[str, str | None]:
    return {report.name: report.output for report in outcome.tasks}


@pytest.mark.parametrize("seconds", [3.0, 14.0, 60.0])
def test_of_an_owner_that_slept_and_another_device_one_has_the_run_and_the_other_says_so(
    seconds: float,
) -> None:
    for name in ("quiet", "lossy", "votes"):
        for cut in random.Random(f"{name} {seconds}").sample(rows_of(name), 3):
            table = played(name, cut, asleep=seconds)
            holds(table)
            assert set(table.outcomes) == {OWNER, HEIR}, (name, cut)
            ended = sorted(table.outcomes.values(), key=lambda outcome: outcome.status.value)
            assert ended[0].status is RunStatus.COMPLETED, (name, cut)
            if ended[1].status is RunStatus.COMPLETED:  # what it slept through was the end
                assert made_by(ended[0]) == made_by(ended[1]), (name, cut)
                continue
            assert ended[1].status is RunStatus.MOVED, (name, cut, ended[1].reason)
            assert ended[1].reason.startswith("not here: "), ended[1].reason


def test_of_several_that_take_a_run_over_at_once_one_wins_and_the_others_say_who() -> None:
    for count in (2, 3):
        heirs = DEVICES[1 : 1 + count]
        for name in ("quiet", "lossy", "seven"):
            cut = random.Random(f"{name} {count}").choice(rows_of(name))
            table = played(name, cut, heirs=heirs)
            holds(table)
            won = [d for d, o in table.outcomes.items() if o.status is RunStatus.COMPLETED]
            assert len(won) == 1, (name, cut, table.outcomes)
            for device in set(heirs) - set(won):
                outcome = table.outcomes[device]
                assert outcome.status is RunStatus.MOVED
                assert won[0][:8] in outcome.reason


@pytest.mark.parametrize("seconds", [8.0, 14.0, 22.0, 30.0])
def test_who_took_a_run_over_and_is_gone_is_followed_by_the_next(seconds: float) -> None:
    for name in ("quiet", "lossy", "seven", "votes"):
        cut = random.Random(f"{name} {seconds}").choice(rows_of(name)[:30])
        last = DEVICES[2] if name == "votes" else DEVICES[4]
        table = played(name, cut, then=(last, seconds), slow=True)
        holds(table)
        if table.adopted != [last]:  # it had ended before
            assert table.outcomes[HEIR].status is RunStatus.COMPLETED
            continue
        outcome = table.outcomes[last]
        assert outcome.status is RunStatus.COMPLETED, (name, cut, outcome.reason)
        same(table, outcome)


def test_a_journal_of_who_took_over_gives_every_effect_again() -> None:
    """Who took a run over can crash like anybody who began one."""
    table = played("lossy", rows_of("lossy")[40])
    writer, steps, lines = RowWriter(), [], []
    for line in table.transcript:
        if line.device == HEIR and line.machine in MACHINES and concerns(line.machine, line.event):
            steps.append(Step(MACHINES.index(line.machine), line.at, writer.row(line.event)))
            lines.append((line.machine, line.event, line.effects))
    handles = heirs_machines(table)
    seen: list[tuple[str, Event, tuple[Effect, ...]]] = []
    replay(
        steps,
        handles,
        RowReader(table.open_entry),
        lambda machine, event, _, effects: seen.append((machine, event, effects)),
    )
    assert seen == lines
    assert any(claims_run(TaskId(str(getattr(event, "task", "")))) for _, event, _ in lines)


def heirs_machines(table: TakeoverTable) -> dict[str, Any]:
    others = tuple(d for d in table.plan.devices if d != HEIR)
    made = seat(replace(table.plan, devices=(HEIR, *others)), HEIR, verify)
    return {machine.name: machine.handle for machine in made if machine.name in MACHINES}
