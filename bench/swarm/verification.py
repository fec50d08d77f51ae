"""Verification pays: wrong outputs accepted, and what it costs, by policy and share of cheats.

    make bench NAME=swarm.verification [FULL=1] [SEED=N]

The work is what the real model does well: it says which of six labels an item has
(`trials.labels`), asked once and kept. Whole devices in virtual time do it
(`pockethive.simulation`: every machine, the store, the book of credit; only network and clock are
not real), a share of them with a fault:

| fault | makes | judges |
|---|---|---|
| random | a label at random | honestly |
| stale | what it should have made of its task before | honestly |
| lazy | a label at random | accepts whatever comes |
| colluders | one wrong label, all the same one | accepts theirs, rejects others' |

Wrong is an output that is not what the honest model says. Policies: `none` (form alone is looked
at), `check` (another device's model must say the same), `recompute 2` and `3` (so many must answer
alike, blindly); and both on credit (`core/credibility.py`): `adaptive` is `recompute 2`, and
`credibility` is `check`, each until a device has ten right in a row, and now and then from there
on; their runs follow one another, so that there is some credit. Beside them what theory says
(`odds.py`). It has all devices asked alike, but an owner asks those last who were caught in his run
(`core/ledger_doubts.py`); `check, no doubts` is the control without that.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final
from unittest.mock import patch

from bench.swarm.odds import Crowd, odds
from bench.swarm.page import share, table
from bench.swarm.plots import Look, picture, shown
from bench.swarm.record import Record, Watch, keep, parser
from pockethive.actors.skill import Finding, Product, Tools, Work
from pockethive.core.ballot import RECOMPUTE
from pockethive.core.ledger_doubts import DoubtDesk
from pockethive.core.spec import Limits, PlannerKind, PlannerSpec, Role, Step, Team
from pockethive.core.task import Check, Policy, Verification
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.result import Result
from pockethive.simulation import Seat, SimulatedHive
from pockethive.trials.families import FAMILIES
from pockethive.trials.family import HELD_FROM
from pockethive.trials.forms import asked, forms_of
from pockethive.trials.laws import wilson
from pockethive.virtual_staff import Pace

NAME: Final = "verification"
DEVICES: Final = 20
FAULTS: Final = ("random", "stale", "lazy", "colluders")
UNDOUBTING: Final = "check, no doubts"
POLICIES: Final[Mapping[str, Verification]] = {
    "none": Verification(checks=(Check(Policy.CHECK, "form"),)),
    "check": Verification(checks=(Check(Policy.CHECK, "same"),)),
    "recompute 2": Verification(checks=(Check(Policy.RECOMPUTE, RECOMPUTE),), verdicts=1),
    "recompute 3": Verification(checks=(Check(Policy.RECOMPUTE, RECOMPUTE),), verdicts=2),
    "adaptive": Verification(
        checks=(Check(Policy.RECOMPUTE, RECOMPUTE),), verdicts=1, adaptive=True
    ),
    "credibility": Verification(checks=(Check(Policy.CHECK, "same"),), adaptive=True),
    UNDOUBTING: Verification(checks=(Check(Policy.CHECK, "same"),)),
}
QUICK: Final = ("none", "check", "recompute 2", "recompute 3", "adaptive")
RUNS_ON_CREDIT: Final = 8
_TITLES: Final = {
    "random": "cheats answer at random",
    "stale": "cheats answer with an older label",
    "lazy": "cheats guess, and accept all",
    "colluders": "cheats agree on a lie, and vote for it",
}
_WORK, _CHECK = 1.0, 0.4  # virtual seconds


@dataclass(slots=True)
class Says:
    """The skill: the label of an item, as the honest model has it, or not."""

    answers: Sequence[str]
    labels: Sequence[str]
    fault: str
    seed: str
    made: int = 0
    last: str = ""

    name = "say"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:
        """The label that it claims."""
        self.made += 1
        right = self.answers[work.params["item"]]
        claimed = self._claimed(work.params["item"], right)
        self.last = right
        return Product(value={"label": claimed})

    def _claimed(self, item: int, right: str) -> str:
        if self.fault in ("random", "lazy"):
            return Random(f"{self.seed} {item}").choice(self.labels)
        if self.fault == "stale":
            return self.last or right
        return wrong(self.labels, right) if self.fault == "colluders" else right


@dataclass(slots=True)
class Same:
    """The checker: what this device's model says of the item."""

    answers: Sequence[str]
    labels: Sequence[str]
    fault: str
    name: str = "same"
    needs_model: bool = False
    judged: int = 0

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Accept what this device would have said."""
        self.judged += 1
        right = self.answers[work.params["item"]]
        if self.fault == "lazy" or self.name == "form":
            return Finding(accept=True, reason="")
        mine = wrong(self.labels, right) if self.fault == "colluders" else right
        return Finding(accept=value == {"label": mine}, reason="another label")


def wrong(labels: Sequence[str], right: str) -> str:
    """The lie that colluders tell, all the same one."""
    return labels[(labels.index(right) + 1) % len(labels)]


def main() -> int:
    """Measure, keep and print."""
    options = _options()
    watch, answers = Watch(), labelled(options)
    shares = (0.05, 0.1, 0.2, 0.35) if options.full else (0.1, 0.35)
    faults = FAULTS if options.full else ("random", "colluders")
    rows = []
    for policy in POLICIES if options.full else QUICK:
        plays = 2 if options.full and not POLICIES[policy].adaptive else 1
        for fault in faults:
            for part in shares:
                row = played(policy, fault, part, (answers, options.seed, plays))
                rows.append(row)
                print({k: v for k, v in row.items() if k != "runs"}, flush=True)
    keep(NAME, options, {"devices": DEVICES, "tasks": len(answers), "rows": rows}, watch)
    return 0


def labelled(options: argparse.Namespace) -> list[str]:
    """What the real model says of each item: the most likely label over all ways of asking."""
    family = FAMILIES["labels"]
    job = family.job(HELD_FROM + options.seed, 60 if options.full else 30)
    model, found = open_model(DEFAULT_MODEL, options.home), []
    for step in family.steps(job, family.begin(job)):
        sums = [0.0] * len(step.options)
        for way in forms_of(step).ways:
            put = asked(step, way)
            for place, nats in enumerate(model.score(put.prompt, put.options)):
                sums[place] += nats
        found.append(step.options[sums.index(max(sums))])
    return found


def played(
    policy: str, fault: str, part: float, given: tuple[list[str], int, int]
) -> dict[str, Any]:
    """So many runs of all items under a policy, with a part of the devices at fault."""
    answers, seed, plays = given
    bad, labels = round(part * DEVICES), sorted(set(answers))
    expected = odds(policy, Crowd(DEVICES, bad, fault, len(labels)))
    done = right = work = judged = 0
    runs = []
    for number in range(plays):
        play = _play(policy, fault, bad, answers, labels, seed * 1_000 + number)
        runs.append(play)
        done += play["committed"]
        right += play["right"]
        work += play["executions"]
        judged += play["judgements"]
    return {
        "policy": policy,
        "fault": fault,
        "share": part,
        "committed": done,
        "of": sum(play["of"] for play in runs),
        "wrong": done - right,
        "interval": wilson(done - right, max(1, done)),
        "executions_a_task": work / max(1, done),
        "judgements_a_task": judged / max(1, done),
        "theory": None if expected is None else asdict(expected),
        "runs": runs,
    }


def _play(
    policy: str, fault: str, bad: int, answers: list[str], labels: list[str], seed: int
) -> dict[str, Any]:
    skills = [
        Says(answers, labels, fault if place < bad else "", f"{seed} {place}")
        for place in range(DEVICES)
    ]
    judges = [
        {name: Same(answers, labels, skill.fault, name) for name in ("same", "form")}
        for skill in skills
    ]
    seats = [
        Seat(
            owner=f"owner {place}",
            pace=Pace(work=_WORK, check=_CHECK),
            skills={"say": skill},
            checkers=judge,
        )
        for place, (skill, judge) in enumerate(zip(skills, judges, strict=True))
    ]
    owner = Seat(team=_team(policy, len(answers)), owner="owner", works=False, verifies=False)
    runs = RUNS_ON_CREDIT if POLICIES[policy].adaptive else 1
    with _doubting(policy), SimulatedHive(seed=seed) as hive:
        devices = hive.start([owner, *seats])
        results = [hive.run(devices[0], f"run {number}", seconds=3_600.0) for number in range(runs)]
    seen = [_right(result, answers) for result in results]
    return {
        "seed": seed,
        "of": runs * len(answers),
        "committed": sum(committed for committed, _ in seen),
        "right": sum(right for _, right in seen),
        "executions": sum(skill.made for skill in skills),
        "judgements": sum(each.judged for judge in judges for each in judge.values()),
        "virtual_seconds": round(sum(result.seconds for result in results), 1),
    }


def _doubting(policy: str) -> AbstractContextManager[Any]:
    """Where there are to be no doubts, the ledger sees nobody err."""
    return patch.object(DoubtDesk, "saw") if policy == UNDOUBTING else nullcontext()


def _right(result: Result, answers: Sequence[str]) -> tuple[int, int]:
    """Committed outputs of a run, and how many of them are right."""
    committed = [task.name for task in result.tasks if task.status == "committed"]
    said = [json.loads(output)["value"]["label"] for output in result.outputs]
    items = [int(name.removeprefix("item-")) for name in committed]
    right = sum(label == answers[item] for item, label in zip(items, said, strict=True))
    return len(committed), right


def _team(policy: str, items: int) -> Team:
    role = Role(
        name="labeller",
        skill="say",
        description="",
        verification=POLICIES[policy],
        needs_model=False,
    )
    steps = tuple(
        Step(name=f"item-{number}", role=role.name, params={"item": number})
        for number in range(items)
    )
    return Team(
        name="labels",
        description="",
        model=None,
        roles=(role,),
        planner=PlannerSpec(kind=PlannerKind.TEMPLATE, steps=steps),
        limits=Limits(timeout_seconds=3_000, attempts=10, max_tasks=items),
    )


def section(record: Record) -> str:
    """This benchmark's part of the page, with its picture."""
    rows = record.results["rows"]
    height = 4.5 if len({row["fault"] for row in rows}) <= 2 else 8.0
    picture("verification", (9, height), lambda figure, look: _draw(figure, look, rows))
    words = "Share of wrong outputs accepted, by policy, for each fault"
    return (
        "## Verification pays\n\n"
        f"{record.results['devices']} devices, {record.results['tasks']} items a run; what the "
        "real model says of an item is right. *adaptive* is `recompute 2` on credit, *credibility* "
        f"`check` on credit. {_held(rows)}\n\n"
        "Theory has all devices asked alike. An owner asks those last who were caught in his run, "
        "so that less can come through; *no doubts* is the control without that. Runs on credit "
        "follow one another in one hive, so their intervals are narrower than they should be.\n\n"
        f"{shown('verification', words)}\n\n"
        "Wrong of accepted outputs (95 % interval), and what theory says:\n\n"
        f"{_by_fault(rows, _accepted)}\n"
        "How often work is done for one accepted output (and by theory), and how often judged:\n\n"
        f"{_by_fault(rows, _cost)}"
    )


def _by_fault(rows: Sequence[Mapping[str, Any]], told: Callable[[Mapping[str, Any]], str]) -> str:
    """A line for a policy and a share of cheats, a column for a fault."""
    faults = list(dict.fromkeys(row["fault"] for row in rows))
    cells = {(row["policy"], row["share"], row["fault"]): told(row) for row in rows}
    lines = dict.fromkeys((row["policy"], row["share"]) for row in rows)
    return table(
        ["policy", "share of devices", *faults],
        [
            [policy, f"{part:.0%}", *(cells[policy, part, fault] for fault in faults)]
            for policy, part in lines
        ],
    )


def _accepted(row: Mapping[str, Any]) -> str:
    theory = "" if row["theory"] is None else f"; {row['theory']['wrong']:.1%}"
    return share(row["wrong"], row["committed"], row["interval"]) + theory


def _cost(row: Mapping[str, Any]) -> str:
    theory = "" if row["theory"] is None else f" ({row['theory']['executions']:.2f})"
    return f"{row['executions_a_task']:.2f}{theory}, {row['judgements_a_task']:.2f}"


def _held(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many measured shares have theory within their interval, and which do not.

    Counted are those where something wrong can come through; and once what is the same: where
    nobody judges, who is lazy does as who answers at random.
    """
    known = [
        row
        for row in rows
        if row["theory"] is not None
        and row["theory"]["wrong"] > 0
        and (row["fault"] != "lazy" or row["policy"].startswith("check"))
    ]
    off = [
        f"{row['policy']}, {row['fault']}, {row['share']:.0%}"
        for row in known
        if not row["interval"][0] <= row["theory"]["wrong"] <= row["interval"][1]
    ]
    held = len(known) - len(off)
    told = (
        f"Of {len(known)} shares for which theory has more than 0, {held} have it in the interval"
    )
    return f"{told}; not {'; '.join(off)}." if off else f"{told}."


def _draw(figure: Any, look: Look, rows: Sequence[Mapping[str, Any]]) -> None:
    faults = list(dict.fromkeys(row["fault"] for row in rows))
    policies = [each for each in POLICIES if any(row["policy"] == each for row in rows)]
    grid = figure.subplots(-(-len(faults) // 2), 2, sharey=True, squeeze=False).flatten()
    for axes, fault in zip(grid, faults, strict=False):
        for place, (hue, policy) in enumerate(zip(look.hues, policies, strict=False)):
            mine = [row for row in rows if row["fault"] == fault and row["policy"] == policy]
            at = [100 * row["share"] + 0.4 * (place - 2) for row in mine]  # bars beside each other
            got = [100 * row["wrong"] / max(1, row["committed"]) for row in mine]
            axes.plot(at, got, "o-", color=hue, label=policy, linewidth=1)
            low, high = ([100 * row["interval"][end] for row in mine] for end in (0, 1))
            axes.vlines(at, low, high, color=hue, linewidth=1)
            known = [
                (a, 100 * row["theory"]["wrong"])
                for a, row in zip(at, mine, strict=True)
                if row["theory"] is not None
            ]
            if known:
                axes.plot(*zip(*known, strict=True), ":", color=hue)
        axes.set_title(_TITLES[fault])
        axes.set_xlabel("share of devices that cheat, %")
        axes.grid(visible=True, linewidth=0.5)
    figure.supylabel("wrong outputs among accepted ones, %", fontsize=10)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle("Wrong outputs accepted, with 95 % intervals; 20 devices. Dotted: theory")


def _options() -> argparse.Namespace:
    return parser("bench.swarm.verification").parse_args()


if __name__ == "__main__":
    sys.exit(main())
