"""`pockethive eval NAME`: how good are this device's answers? A question set, asked and marked."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pockethive.cli.options import add_home, end_in_order, home_of
from pockethive.core.errors import BadInput

if TYPE_CHECKING:
    from pockethive.topic_asking import Reply
    from pockethive.trials.topics import LeftOut, TopicQuestion

SETS = ("topics",)


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "eval",
        help="ask this device a set of questions and say how many answers are right",
        description="Ask a question set with the team `research` and print how many answers say "
        "what they must and cite where it stands. `topics`: the Python language reference that "
        "comes with the interpreter, and the licence texts of this machine. Takes minutes.",
    )
    parser.add_argument("name", choices=SETS, help="the question set")
    parser.add_argument("--split", choices=("dev", "held", "fresh"), help="only these")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="device processes (1)")
    parser.add_argument("--team", default="research", help="a YAML file, or a shipped team")
    parser.add_argument("--json", action="store_true", help="print figures and answers as JSON")
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, mark, print; 0 whatever the marks are."""
    from pockethive.actors.documents.corpus import write_corpus
    from pockethive.cli.model_ready import Until, ensure_model
    from pockethive.home import make_private
    from pockethive.swarm import Swarm
    from pockethive.topic_asking import replies, to_ask

    if args.devices < 1:
        raise BadInput(f"{args.devices} devices", where="--devices", cure="take at least one")
    home = home_of(args)
    make_private(home)
    folders = write_corpus(
        home / "eval" / f"{args.name}-{args.devices}", args.devices, licences=True
    )
    asked, left = to_ask(chosen(args.split, args.limit), folders)
    if not asked:
        raise BadInput("no question can be asked here", where=args.name, cure=_told(left))
    swarm = Swarm.from_yaml(args.team, documents=folders, devices=args.devices, home=home)
    swarm.check(asked[0].question)  # before minutes are spent on a model
    end_in_order()
    ensure_model(swarm.team.model, home, Until(None), quiet=args.json)
    given = []
    with swarm:
        for reply in replies(swarm, asked):
            given.append(reply)
            sys.stderr.write(f"{len(given)}/{len(asked)} {_line(reply)}\n")
    print_figures(args, given, left)
    return 0


def chosen(split: str | None, limit: int | None) -> "Sequence[TopicQuestion]":
    """The questions of the set that were asked for. Raises BadInput for a limit below 1."""
    from pockethive.trials.topics import of_split, topic_questions

    if limit is not None and limit < 1:
        raise BadInput(f"a limit of {limit}", where="--limit", cure="take at least one question")
    return (of_split(topic_questions(), split) if split else topic_questions())[:limit]


def print_figures(
    args: argparse.Namespace, given: "Sequence[Reply]", left: "Sequence[LeftOut]"
) -> None:
    """As JSON with every answer, or as lines to read."""
    from pockethive.topic_asking import figures

    told = figures(given)
    if args.json:
        rows = [reply.row() for reply in given]
        out = [{"id": each.id, "why": each.why} for each in left]
        print(json.dumps({"set": args.name, **told, "left_out": out, "rows": rows}))
        return
    print("\n".join(lines(args.name, told, left)))


def lines(name: str, told: Mapping[str, Any], left: "Sequence[LeftOut]") -> list[str]:
    """The figures in words."""
    found = [
        f"{name}: right with their sources {_share(told['right'])}",
        f"said {_share(told['said'])}; every source cited {_share(told['all_sources'])}",
        f"citations right {_share(told['precision'])}; parts cited {_share(told['recall'])}",
        f"not known, and said so {_share(told['not_known'])}",
    ]
    if told["failures"]:
        each = ", ".join(f"{what} {count}" for what, count in sorted(told["failures"].items()))
        found.append(f"fell short: {each}")
    if left:
        found.append(_told(left))
    return found


def _told(left: "Sequence[LeftOut]") -> str:
    """Every question left out, under what keeps it out."""
    reasons = dict.fromkeys(each.why for each in left)
    told = (f"{why}: {', '.join(each.id for each in left if each.why == why)}" for why in reasons)
    return f"left out {len(left)} questions; {'; '.join(told)}"


def _line(reply: "Reply") -> str:
    return f"{reply.mark.failure or 'right'} ({reply.seconds:.1f} s): {reply.question}"


def _share(figure: Mapping[str, Any]) -> str:
    low, high = (round(100 * each) for each in figure["interval"])
    return f"{figure['right']} of {figure['of']} ({low} to {high} %)"
