"""`pockethive questions`: outputs that wait for the word of their run's owner."""

import argparse
import json
from typing import Any

from pockethive.cli.options import add_home, add_json, home_of
from pockethive.core.errors import BadInput

_SHOWN = 1_000  # characters of an output on a terminal; --json has more


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "questions",
        help="accept or reject outputs that wait for your word",
        description="List the outputs of roles with `verify: human` that wait while their runs go "
        "on; accept one, and it is committed; reject it, and somebody does it again who is told "
        "why. One answer at a time.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--accept", metavar="ID", help="this output is right")
    which.add_argument("--reject", metavar="ID", help="this one is not; say why with --reason")
    parser.add_argument("--reason", metavar="TEXT", help="what is wrong with it")
    add_json(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer one question, or list them all."""
    from pockethive.asking import answer, open_questions

    if args.reject is not None and args.reason is None:
        raise BadInput("an output is rejected for a reason", cure="add --reason TEXT")
    if args.reject is None and args.reason is not None:
        raise BadInput("a reason goes with --reject ID")
    name = args.accept if args.reject is None else args.reject
    if name is not None:
        question = answer(home_of(args), name, args.reason)
        how = "accepted" if args.reject is None else "rejected"
        if args.json:
            print(json.dumps({"id": question["id"], "answer": how}))
        else:
            print(f"{how} {question['id']}: {question['task']} of run {question['run'][:8]}")
        return 0
    questions = open_questions(home_of(args))
    for question in questions:
        print(json.dumps(question, ensure_ascii=False) if args.json else _lines(question))
    if not questions and not args.json:
        print("nothing waits for your word")
    return 0


def _lines(question: dict[str, Any]) -> str:
    from pockethive.cli.console import plain

    output = question["output"]
    if len(output) > _SHOWN:
        output = f"{output[:_SHOWN]}… ({question['size']} bytes; --json shows more)"
    head = (
        f"{question['id']} {question['task']} of run {question['run'][:8]}, role "
        f"{question['role']}, made by {question['worker'][:8]}"
    )
    asked = question["instruction"]
    told = asked if len(asked) <= _SHOWN else f"{asked[:_SHOWN]}…"
    return plain("\n    ".join((head, f"asked: {told}", f"made:  {output}")))
