"""`pockethive peers`: whom the node of this home knows."""

import argparse
import json
from typing import Any

from pockethive.cli.options import add_asking, device_folder, home_of


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "peers",
        help="list the peers of the node in this home",
        description="List the peers in the routing table of the node of this home, and which of "
        "them are devices of its hive. With --join, a passing node looks.",
    )
    add_asking(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """One line a peer; 0 also when there is none."""
    found = _through_others(args) if args.join else _through_ours(args)
    if args.json:
        print(json.dumps(found))
        return 0
    for peer in found:
        kind = "device" if peer["member"] else "peer"
        works = ", works" if peer.get("works") else ""
        print(f"{peer['contact']}  {kind}{works}")
    if not found:
        print("no peers")
    return 0


def _through_ours(args: argparse.Namespace) -> list[dict[str, Any]]:
    from pockethive.control import ask

    found: list[dict[str, Any]] = ask(device_folder(args), "peers")
    return found


def _through_others(args: argparse.Namespace) -> list[dict[str, Any]]:
    import asyncio

    from pockethive.reading import network_of, passing_node
    from pockethive.service import peers_of

    home = home_of(args)
    hive = network_of(args.hive, home)

    async def look() -> list[dict[str, Any]]:
        async with passing_node(args.join, hive, home) as (node, _):
            return peers_of(None, node.contacts())

    return asyncio.run(look())
