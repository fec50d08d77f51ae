"""`pockethive runs`: which runs are going, which were left, how the latest ended."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from pockethive.cli.options import add_home, add_join, add_json, home_of

if TYPE_CHECKING:
    from pockethive.core.task import RunId
    from pockethive.elsewhere import Elsewhere
    from pockethive.known_runs import KnownRun


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "runs",
        help="list unfinished and recent runs",
        description="List the runs of this home, the latest first. One that is unfinished was left "
        "by a process that died: pockethive resume RUN goes on with it. While a node runs in this "
        "home, or with --join, open runs of the owner's other devices are listed, too.",
    )
    add_json(parser)
    add_join(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List them."""
    from pockethive.known_runs import known_runs

    found = known_runs(home_of(args))
    for each in found:
        print(json.dumps(_json(each), ensure_ascii=False) if args.json else _line(each))
    others = _elsewhere(args, {each.note.run for each in found if each.state != "moved"})
    for other in others:
        text = json.dumps(_other_json(other), ensure_ascii=False) if args.json else _other(other)
        print(text)
    if not found and not others and not args.json:
        sys.stderr.write("no run is known in this home\n")
    return 0


def _elsewhere(args: argparse.Namespace, known: "set[RunId]") -> list["Elsewhere"]:
    """Open runs of the owner's other devices, as far as somebody can be asked."""
    from pockethive.control import NotRunning
    from pockethive.dht.contact import Contact
    from pockethive.elsewhere import asked_hive, asked_node

    try:
        if args.join:
            found = asked_hive(home_of(args), tuple(Contact.parse(each) for each in args.join))
        else:
            found = asked_node(home_of(args))
    except NotRunning:
        return []
    return [each for each in found if each.run not in known]


def _other_json(run: "Elsewhere") -> dict[str, Any]:
    return {
        "run_id": run.run,
        "state": "elsewhere",
        "goal": run.goal,
        "began": run.began,
        "reason": "",
        "device": run.keeper,
    }


def _other(run: "Elsewhere") -> str:
    goal = " ".join(run.goal.split()) or "(what it is about is held by nobody present)"
    return f"{_head(run.run, 'elsewhere', run.began)} {goal[:60]} (kept by {run.keeper[:8]})"


def _json(run: "KnownRun") -> dict[str, Any]:
    note = run.note
    return {
        "run_id": note.run,
        "state": run.state,
        "goal": note.goal,
        "began": round(note.began, 3),
        "reason": note.reason,
    }


def _line(run: "KnownRun") -> str:
    note = run.note
    goal = " ".join(note.goal.split())
    return f"{_head(note.run, run.state, note.began)} {goal[:70]}"


def _head(run: "RunId", state: str, began: float) -> str:
    return f"{run[:8]} {state:<10} {time.strftime('%Y-%m-%d %H:%M', time.localtime(began))}"
