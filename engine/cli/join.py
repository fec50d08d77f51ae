"""`pockethive join LINK`: become a member of a private hive."""

import argparse

from pockethive.cli.options import add_home, home_of


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "join",
        help="join a private hive by an invitation",
        description="Join the private hive that a link invites to. Nodes and runs of this home "
        "belong to it from then on.",
    )
    parser.add_argument("link", metavar="LINK", help="as `pockethive invite` prints it")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="this device's name on the list; no other device may have it (default: the one it "
        "has, else this machine's, numbered where it is taken)",
    )
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Join; 2 for a link that cannot be used, 1 when nobody answers."""
    import asyncio

    from pockethive.joining import join_hive

    joined = asyncio.run(join_hive(home_of(args), args.link, args.name))
    print(
        f"this home belongs to the hive {joined.hive!r} now, as {joined.name!r}, "
        f"one of {joined.members} devices"
    )
    return 0
