"""Private shards: K devices, each with a part of a world, answer what one with all of it answers.

    make bench NAME=swarm.shards [FULL=1] [SEED=N]     (or python -m bench.swarm.shards [--cheats])

The shipped team `shards` answers questions of every kind about a held world in virtual time, with
the real model (`private.py`). Controls: one device with everything (K = 1), and one device with one
of five shards. What crossed the net is searched for the marks of all sentences: one that crossed in
something of which no line of the release log tells would be a leak. With `--cheats`: one of five
devices, or two of seven, cheat (`liars.py`), with verification and without.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench.swarm.liars import FAULTS, Silent, gathering
from bench.swarm.page import share, table
from bench.swarm.plots import Look, picture, shown
from bench.swarm.private import USUAL, Asked, Cheat, Holders, Memory, Rules, truth, written
from bench.swarm.record import RESULTS, Record, Watch, keep, load, parser
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.swarm import Swarm
from pockethive.trials.family import HELD_FROM
from pockethive.trials.laws import wilson
from pockethive.trials.questions import KINDS, Question, ask, canaries
from pockethive.trials.shards import split
from pockethive.trials.world import World, make

NAME: Final = "shards"
CONTROL: Final = "one of five shards"
LIVE: Final = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Plan:
    """One setting. `cheats`: how many of the holders; colluders share a secret. `fault`: what they
    do, as in `liars.FAULTS`."""

    name: str
    holders: int
    copies: int = 1
    alone: bool = False
    cheats: int = 0
    fault: str = "careless"
    rules: Rules = USUAL


QUICK: Final = (
    Plan("K = 1", 1),
    Plan(CONTROL, 5, alone=True),
    Plan("K = 3", 3),
    Plan("K = 5", 5),
    Plan("K = 5, 3 copies", 5, copies=3),
)
FULL: Final = (*QUICK, *(Plan(f"K = {k}", k) for k in (2, 8)))
_BLIND: Final = Rules(verified=False)
_TWO: Final = Rules(verdicts=2)


def _liars(cheats: int, holders: int, fault: str, copies: int = 1, rules: Rules = USUAL) -> Plan:
    """A setting with cheats, and its name."""
    does = {"forge": "forges" if cheats == 1 else "forge alike"}.get(fault, fault)
    told = [f"{cheats} of {holders} {does}", f"{copies} {'copy' if copies == 1 else 'copies'}"]
    told += [f"{rules.verdicts} verdicts"] * (rules.verdicts > 1)
    told += [f"{rules.agreeing} agree"] * (rules.agreeing > 1)
    told += ["nobody looks"] * (not rules.verified)
    return Plan(", ".join(told), holders, copies, cheats=cheats, fault=fault, rules=rules)


CHEATS_QUICK: Final = (
    _liars(1, 5, "careless"),
    _liars(1, 5, "careless", 1, _BLIND),
    _liars(1, 5, "careless", 3),
    _liars(1, 5, "careless", 3, _BLIND),
    _liars(2, 7, "collude"),
    _liars(2, 7, "collude", 1, _TWO),
    _liars(2, 7, "collude", 1, _BLIND),
    _liars(1, 5, "forge"),
    _liars(1, 5, "forge", 3, Rules(agreeing=2)),
)
CHEATS: Final = (
    *CHEATS_QUICK,
    _liars(2, 7, "collude", 3, _TWO),
    _liars(2, 7, "collude", 3, _BLIND),
    _liars(1, 5, "forge", 3),
    _liars(2, 7, "forge"),
    _liars(2, 7, "forge", 3, Rules(agreeing=2)),
    _liars(2, 7, "forge", 5, Rules(agreeing=3)),
)
"""At one copy nobody else can say whether a document exists; agreement must outnumber colluders,
and so must the maker of an output with its judges."""


def main() -> int:
    """Measure, keep and print; 1 where a sentence crossed unlogged."""
    options = _options()
    watch = Watch()
    world = make(HELD_FROM + options.seed, options.facts or (3_000 if options.full else 300))
    questions = asked_of(world, options)
    sizes = (CHEATS_QUICK, CHEATS) if options.cheats else (QUICK, FULL)
    plans = sizes[options.full]
    model = Memory(open_model(DEFAULT_MODEL, options.home))
    rows = []
    known: dict[Plan, list[Asked]] = {}
    with tempfile.TemporaryDirectory() as folder:
        holders = Holders(world, model, Path(folder))
        for plan in plans:
            rows.append(row := played(holders, plan, questions, options.seed, known))
            print({k: v for k, v in row.items() if k != "asked"}, flush=True)
        live = [] if options.cheats or options.no_live else lived(world, questions, options)
    name = f"{NAME}_cheats" if options.cheats else NAME
    results = {
        "facts": len(world.facts),
        "sentences": len(world.statements()),
        "canaries": len(canaries(world, questions)),
        "questions": [asdict(each) for each in questions],
        "rows": rows,
        "live": live,
    }
    keep(name, options, results, watch)
    return 1 if any(row["unlogged"] for row in rows) else 0


def asked_of(world: World, options: argparse.Namespace) -> tuple[Question, ...]:
    """Questions of every kind."""
    each = options.each or (10 if options.full else 1)
    return ask(world, each, options.kinds or tuple(KINDS), options.seed)


def played(
    holders: Holders,
    plan: Plan,
    questions: Sequence[Question],
    seed: int,
    known: dict[Plan, list[Asked]],
) -> dict[str, Any]:
    """All questions in one setting. `known`: what comes without the documents of cheats, kept."""
    hands = split(holders.world.documents, plan.holders, plan.copies, seed)
    if plan.alone:
        hands = hands[:1]
    found, unlogged = holders.ask(hands, questions, cheats(plan, seed), plan.rules)
    deceived = None
    if plan.cheats:
        silent = replace(plan, name="", fault="silent", rules=Rules(agreeing=plan.rules.agreeing))
        if silent not in known:
            without = dict.fromkeys(range(plan.cheats), gathering(Silent()))
            known[silent], _ = holders.ask(hands, questions, without, silent.rules)
        deceived = sum(map(is_deceived, found, known[silent]))
    return {
        "plan": asdict(plan),
        **summary(found),
        "deceived": deceived,
        "silenced": sum(each.answer == "" for each in found),
        "unlogged": len(unlogged),
        "asked": [asdict(each) for each in found],
    }


def is_deceived(found: Asked, known: Asked) -> bool:
    """Whether an answer is wrong in a way that missing the cheats' documents does not explain;
    `known` is what comes without them. No answer at all deceives nobody."""
    return not found.right and found.answer not in ("", known.answer)


def cheats(plan: Plan, seed: int) -> dict[int, Cheat]:
    """What each cheat makes of its seat, by place."""
    secrets = [f"secret {seed}" if plan.cheats > 1 else str(n) for n in range(plan.cheats)]
    return {place: FAULTS[plan.fault](secret, place) for place, secret in enumerate(secrets)}


def lived(
    world: World, questions: Sequence[Question], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The same team as device processes on this machine's loopback, each with its own model."""
    rows = []
    for holders in LIVE:
        watch = Watch()
        with tempfile.TemporaryDirectory() as folder:
            hands = split(world.documents, holders, 1, options.seed)
            places = [written(hand, Path(folder)) for hand in hands]
            with Swarm.from_yaml(
                "shards", documents=places, devices=holders, home=options.home
            ) as swarm:
                began = watch.seconds
                told = [swarm.run_sync(each.text) for each in questions]
                took = watch.seconds - began
        right = [
            result.answer.lower() == truth(each).lower()
            for result, each in zip(told, questions, strict=True)
        ]
        rows.append(
            {
                "holders": holders,
                "right": sum(right),
                "of": len(right),
                "interval": wilson(sum(right), len(right)),
                "tokens": round(sum(each.prompt_tokens for each in told) / len(told)),
                "seconds_each": round(took / len(told), 2),
                "cpu_seconds_each": round(watch.cpu_seconds / len(told), 2),
                "answers": [[r.status, r.reason, r.answer, round(r.seconds, 2)] for r in told],
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "answers"}, flush=True)
    return rows


def summary(found: Sequence[Asked]) -> dict[str, Any]:
    """The figures that count, of one setting."""
    right = [each.right for each in found]
    kinds = list(dict.fromkeys(each.kind for each in found))
    cited, proof = sum(each.cited for each in found), sum(each.proof for each in found)
    both = sum(each.cited_proof for each in found)
    return {
        "right": sum(right),
        "of": len(right),
        "interval": wilson(sum(right), len(right)),
        "by_kind": {
            kind: [
                sum(each.right for each in found if each.kind == kind),
                sum(each.kind == kind for each in found),
            ]
            for kind in kinds
        },
        "cited": cited,
        "cited_proof": both,
        "proof": proof,
        "crossed": sum(each.crossed for each in found),
        "crossed_needed": sum(each.crossed_needed for each in found),
        "bytes_each": round(sum(each.bytes_each for each in found) / len(found)),
        "tokens": round(sum(each.tokens for each in found) / len(found)),
        "model_seconds": round(sum(each.model_seconds for each in found) / len(found), 2),
        "virtual_seconds": round(sum(each.virtual_seconds for each in found) / len(found), 1),
    }


def section(record: Record) -> str:
    """This benchmark's part of the page, with its picture."""
    told = record.results
    rows = sorted(told["rows"], key=lambda row: (row["plan"]["holders"], not row["plan"]["alone"]))
    picture(NAME, (9, 3.6), lambda figure, look: _draw(figure, look, rows))
    words = "Right answers, and bytes that each device sent, by number of devices"
    return (
        "## Private shards\n\n"
        f"A world of {told['facts']:,} facts in {told['sentences']:,} sentences of one seed, "
        "each shard on its own device. Whole devices in virtual time with the real model; bytes "
        "are what a holder's door let out, coordination included; model seconds are processor time "
        "of all holders together. Crossed: sentences that were on the net, and how many of them "
        "prove the answer or must be weighed for it; the others were taken for such by the model. "
        "Unlogged: crossed in something of which no release log tells.\n\n"
        f"{shown(NAME, words)}\n\n{results_table(rows)}\n{live_table(live_rows(told))}"
    )


def live_rows(told: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Of this record, or of the quick one where a full one was made without."""
    quick = RESULTS / f"{NAME}.json"
    rows: Sequence[Mapping[str, Any]] = told["live"]
    return rows or (load(quick).results["live"] if quick.exists() else ())


def live_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Device processes on loopback; starting and stopping them is in the processor time."""
    head = ["processes", "right", "tokens", "wall s a question", "processor s a question"]
    told = [
        [
            row["holders"],
            share(row["right"], row["of"], row["interval"]),
            row["tokens"],
            row["seconds_each"],
            row["cpu_seconds_each"],
        ]
        for row in rows
    ]
    intro = "The same team as device processes (*live*), on the questions of a quick run"
    return f"{intro}:\n\n{table(head, told)}" if rows else ""


def cheats_section(record: Record) -> str:
    """The same with liars."""
    return (
        "## Private shards, with liars\n\n"
        "Who is careless says anything of true sentences, and answers anything when it reckons; "
        "it judges honestly. Who colludes does so alike with the others, accepts what is wrong "
        "as a judge and rejects what is right; each is a stranger to the owner of the run and "
        "to the others. Who forges adds a sentence of a document that nobody else has, of the "
        "highest standing and the latest day, to what it found. *Nobody looks*: the control, "
        "where every output is accepted. *2 verdicts*: of so many other devices. *Agree*: how "
        "many devices must quote a sentence; else one. *Deceived*: wrong answers that the "
        "missing documents of the cheats do not explain; the others are what comes without "
        "these devices. *No answer*: runs that failed. Where documents lie at one device alone, "
        "no check can tell a forged one; copies can, if more must agree than lie alike.\n\n"
        f"{results_table(record.results['rows'])}"
    )


def results_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a setting."""
    with_cheats = rows[0]["deceived"] is not None
    head = [
        *(
            "devices",
            "right",
            *(("deceived", "no answer") if with_cheats else ()),
            "citations that prove",
            "proof that is cited",
            "crossed, needed",
        ),
        *("unlogged", "KB a device", "tokens", "model s"),
    ]
    told = [
        [
            row["plan"]["name"],
            share(row["right"], row["of"], row["interval"]),
            *((row["deceived"], row.get("silenced", "")) if with_cheats else ()),
            f"{row['cited_proof']} of {row['cited']}",
            f"{row['cited_proof']} of {row['proof']}",
            f"{row['crossed']}, {row['crossed_needed']}",
            row["unlogged"],
            f"{row['bytes_each'] / 1000:.0f}",
            row["tokens"],
            f"{row['model_seconds']:.1f}",
        ]
        for row in rows
    ]
    kinds = list(rows[0]["by_kind"])
    by_kind = [
        [row["plan"]["name"], *("{} of {}".format(*row["by_kind"][kind]) for kind in kinds)]
        for row in rows
    ]
    return f"{table(head, told)}\n{table(['right, by kind', *kinds], by_kind)}"


def _draw(figure: Any, look: Look, rows: Sequence[Mapping[str, Any]]) -> None:
    left, right = figure.subplots(1, 2)
    one = [row for row in rows if row["plan"]["copies"] == 1 and not row["plan"]["alone"]]
    one.sort(key=lambda row: int(row["plan"]["holders"]))
    at = [row["plan"]["holders"] for row in one]
    left.plot(at, [100 * row["right"] / row["of"] for row in one], "o-", label="all shards")
    for end in (0, 1):
        left.plot(at, [100 * row["interval"][end] for row in one], ":", color=look.hues[0])
    for row in rows:
        if row["plan"]["alone"]:
            level = 100 * row["right"] / row["of"]
            left.axhline(level, color=look.hues[1], linestyle="--", label=row["plan"]["name"])
    left.set_xlabel("devices, each with one shard (1: everything)")
    left.set_ylabel("right answers, %; dotted: 95 % interval")
    left.set_ylim(0, 101)
    left.legend(loc="lower left")
    right.plot(at, [row["bytes_each"] / 1000 for row in one], "o-", color=look.hues[2])
    right.set_xlabel("devices, each with one shard (1: everything)")
    right.set_ylabel("KB that a device sent for a question")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(visible=True, linewidth=0.5)


def _options() -> argparse.Namespace:
    told = parser("bench.swarm.shards")
    told.add_argument("--cheats", action="store_true")
    told.add_argument("--no-live", action="store_true")
    told.add_argument("--facts", type=int, help="of the world")
    told.add_argument("--each", type=int, help="questions of each kind")
    told.add_argument("--kinds", nargs="*", help=", ".join(KINDS))
    return told.parse_args()


if __name__ == "__main__":
    sys.exit(main())
