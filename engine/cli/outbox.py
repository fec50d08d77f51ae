"""`pockethive outbox`: acts that skills drafted; nothing happens in the world before approval."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_home, add_json, home_of

if TYPE_CHECKING:
    from pockethive.actors.outbox import Act


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "outbox",
        help="approve or drop what skills want to do in the world",
        description="List the acts that committed outputs drafted; approve them, and they are "
        "done once; drop them, and they never are. One that was begun when a process died is "
        "asked about, never repeated blindly.",
    )
    parser.add_argument(
        "--approve", action="append", default=[], type=int, metavar="ID", help="(repeatable)"
    )
    parser.add_argument(
        "--drop", action="append", default=[], type=int, metavar="ID", help="(repeatable)"
    )
    parser.add_argument(
        "--allow",
        type=Path,
        metavar="DIR",
        help="the one folder that acts of the kind `file` may write into; it is remembered",
    )
    add_json(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Approve, drop, act, list. 1 when something approved now was not done."""
    from pockethive.core.outbox import State
    from pockethive.outbox import allow_folder, open_outbox

    outbox = open_outbox(home_of(args))
    try:
        if args.allow is not None:
            allow_folder(outbox, args.allow)
        for number in args.drop:
            outbox.drop(number)
        for number in args.approve:
            outbox.approve(number)
        if args.approve:
            outbox.work()
        else:
            outbox.settle()
        acts = outbox.acts()
    finally:
        outbox.close()
    for act in acts:
        print(json.dumps(act.to_json(), ensure_ascii=False) if args.json else _line(act))
    if not acts and not args.json:
        print("the outbox is empty")
    wanted = set(args.approve)
    return 1 if any(act.id in wanted and act.state is not State.DONE for act in acts) else 0


def _line(act: "Act") -> str:
    draft = act.draft
    size = f", {len(draft.payload.encode())} bytes" if draft.payload else ""
    detail = f" ({act.detail})" if act.detail else ""
    return f"{act.id} {act.state.value}: {draft.kind} {draft.target!r}{size}{detail}"
