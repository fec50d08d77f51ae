"""`pockethive verify-receipt FILE`: what a receipt proves, by public keys alone."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_json, counted

if TYPE_CHECKING:
    from pockethive.receipt import Verified


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify-receipt",
        help="say what the receipt of a run proves",
        description="Check the file that `pockethive run --receipts FILE` wrote: signatures, acks "
        "of the witnesses, verdicts, inputs. Needs no network, no home and no model.",
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--answer",
        type=Path,
        metavar="FILE",
        help="an output blob, as `run --answer` wrote it: is it what the run committed?",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what holds. A receipt that does not hold is an error."""
    from pockethive.receipt import read_receipt, verify_receipt

    verified = verify_receipt(read_receipt(args.file))
    answered = None
    if args.answer is not None:
        answered = verified.answered_by(read_receipt(args.answer)).name
    if args.json:
        extra = {} if answered is None else {"answered_by": answered}
        print(json.dumps({**verified.to_json(), **extra}, ensure_ascii=False))
        return 0
    _print(verified)
    if answered is not None:
        print(f"{args.answer} is the output of {answered}, as committed")
    return 0


def _print(verified: "Verified") -> None:
    said = verified.to_json()
    tasks = said["tasks"]
    print(f"run {said['run']} of owner {said['owner'][:12]}: the receipt holds")
    for task in tasks:
        print(f"\n{task['name']}")
        for line in task["proven"]:
            print(f"    proven: {line}")
        for line in task["not_proven"]:
            print(f"    not proven: {line}")
    done = sum(task["committed"] for task in tasks)
    print(f"\n{done} of {counted(len(tasks), 'task')} committed")
    for answer in said["answer"]:
        print(f"the answer is output {answer['output']} of {answer['task']}")
    print("not proven: that checkers were run as signed, and that witnesses are independent people")
