"""`pockethive demo`: the main job on documents every machine has, over three devices here."""

import argparse

from pockethive.cli import run as run_command
from pockethive.cli.options import add_home, add_receipts, add_timeout, home_of

DEVICES = 3
QUESTION = "What happens when an exception is raised in the else clause of a try statement?"


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="ask the Python language reference, spread over three devices here",
        description="Write the language reference that comes with Python into three folders, "
        "start a device process for each, and ask them a question.",
    )
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    add_receipts(parser)
    add_timeout(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the corpus where it is missing and hand over to `pockethive run research`."""
    from pockethive.actors.documents.corpus import write_corpus

    folders = write_corpus(home_of(args) / "demo", DEVICES)
    if not args.json:
        print(f"question: {args.question}")
        print(f"documents: {len(folders)} folders in {folders[0].parent}", flush=True)
    args.team, args.goal = "research", args.question
    args.documents, args.devices, args.join = list(folders), DEVICES, []
    return run_command.run(args)
