"""`pockethive resume RUN`: go on with a run whose process died, from its journal."""

import argparse
import sys

from pockethive.cli.options import add_home, add_join, add_receipts, end_in_order, home_of


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "resume",
        help="go on with a run that was left",
        description="Go on with a run whose process died: what was committed stays, what was "
        "asked is asked again. The swarm is started as it was then. A run that another device of "
        "the same owner began is found through the node of this home, or with --join.",
    )
    parser.add_argument("id", metavar="RUN", help="the run's id, or how it begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    add_join(parser)
    add_receipts(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Go on; the exit code says how it ended."""
    from pockethive.cli.run import follow, print_result, write_files
    from pockethive.swarm import Swarm

    swarm = Swarm.from_run(args.id, home=home_of(args), join=args.join)
    end_in_order()
    with swarm:
        if not args.json:
            for problem in swarm.skipped:
                sys.stderr.write(f"skipped: {problem}\n")
        result = follow(swarm, swarm.submit_resumed, quiet=args.json)
        write_files(result, args)
        return print_result(result, as_json=args.json)
