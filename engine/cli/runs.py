"""`pockethive runs`: which runs are going, which were left, how the latest ended."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from pockethive.cli.options import add_home, add_json, home_of

if TYPE_CHECKING:
    from pockethive.known_runs import KnownRun


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "runs",
        help="list unfinished and recent runs",
        description="List the runs of this home, the latest first. One that is unfinished was left "
        "by a process that died: pockethive resume RUN goes on with it.",
    )
    add_json(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List them."""
    from pockethive.known_runs import known_runs

    found = known_runs(home_of(args))
    for each in found:
        print(json.dumps(_json(each), ensure_ascii=False) if args.json else _line(each))
    if not found and not args.json:
        sys.stderr.write("no run is known in this home\n")
    return 0


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
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(note.began))
    goal = " ".join(note.goal.split())
    return f"{note.run[:8]} {run.state:<10} {began} {goal[:70]}"
