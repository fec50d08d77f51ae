"""`pockethive run TEAM [GOAL]`: start a swarm, run one goal, show how it goes and its answer."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import (
    add_home,
    add_join,
    add_receipts,
    add_timeout,
    end_in_order,
    home_of,
)
from pockethive.core.errors import BadInput, TimeLimit

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pockethive.result import Result
    from pockethive.swarm import Swarm


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="run a goal with a team",
        description="Run a goal with a team of agents on this and other devices.",
    )
    parser.add_argument("team", help="a YAML file, or a shipped team such as `research`")
    parser.add_argument("goal", nargs="?", help="what you want (default: read standard input)")
    parser.add_argument(
        "--documents",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a file or folder to work on; it stays where it is (repeatable: one per device)",
    )
    parser.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="device processes to start here (default: 3, or none with --join)",
    )
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    add_receipts(parser)
    add_join(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the goal; the exit code says how it ended."""
    from pockethive.cli.model_ready import Until, ensure_model
    from pockethive.home import make_private
    from pockethive.swarm import Swarm

    goal = args.goal if args.goal is not None else _read_goal()
    home, until = home_of(args), Until(args.timeout)
    swarm = Swarm.from_yaml(
        args.team,
        documents=args.documents,
        devices=args.devices,
        join=args.join,
        home=home,
        timeout=args.timeout,
    )
    swarm.check(goal)  # before minutes are spent on a model
    make_private(home)
    end_in_order()
    if ensure_model(swarm.team.model, home, until, quiet=args.json) and args.timeout is not None:
        swarm.limit(until.left)
    with swarm:
        if not args.json:
            for problem in swarm.skipped:
                sys.stderr.write(f"skipped: {problem}\n")
        result = follow(swarm, lambda: swarm.submit(goal), quiet=args.json)
        write_files(result, args)
        return print_result(result, as_json=args.json)  # before the devices take their time to stop


def follow(swarm: "Swarm", begin: Callable[[], "Future[Result]"], *, quiet: bool) -> "Result":
    """Begin a run and wait for its result, showing meanwhile how it goes."""
    if quiet:
        return _await(begin)
    from pockethive.cli.progress import Progress

    with Progress(sys.stdout) as progress:
        unsubscribe = swarm.device.subscribe(progress.saw)
        try:
            return _await(begin)
        finally:
            unsubscribe()


def _await(begin: Callable[[], "Future[Result]"]) -> "Result":
    """Wait for the result; an interrupt cancels the run before it goes on its way."""
    future = begin()
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def write_files(result: "Result", args: argparse.Namespace) -> None:
    """The files that `add_receipts` asks for."""
    from pockethive.home import write_atomically

    if args.receipts is not None:
        write_atomically(args.receipts, result.receipts.encode())
    if args.answer is not None:
        for number, blob in enumerate(result.outputs, 1):
            path = args.answer
            write_atomically(path if number == 1 else path.with_name(f"{path.name}.{number}"), blob)


def print_result(result: "Result", *, as_json: bool) -> int:
    """Print it; the exit code that says how the run ended."""
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        from pockethive.cli.answer import print_answer

        print_answer(result, sys.stdout)
    sys.stdout.flush()
    if result.timed_out:
        return TimeLimit.exit_code
    return 0 if result.status in {"completed", "partial"} else 1


def _read_goal() -> str:
    if sys.stdin.isatty():
        raise BadInput("no goal was given", cure='pockethive run TEAM "what you want"')
    return sys.stdin.read(100_000)
