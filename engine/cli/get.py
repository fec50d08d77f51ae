"""`pockethive get KEY`: read entries from the DHT, and with `--verify` check every signature."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pockethive.cli.options import add_asking, device_folder, home_of

if TYPE_CHECKING:
    from pockethive.reading import SeenEntry


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "get",
        help="read signed entries from the DHT",
        description="Read the entries under a key: a task id (run/name/hash), 40 hex digits, "
        "`members`, or the key of a note (see `put`). The node of this home is asked; with "
        "--join, a passing node asks.",
    )
    parser.add_argument("key")
    parser.add_argument("--verify", action="store_true", help="say of each whether it is genuine")
    parser.add_argument(
        "--careful",
        action="store_true",
        help="ask along three paths that share no node: slower, harder to lie to",
    )
    add_asking(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what the nodes nearest to the key hold. 1 when there is nothing."""
    found = _through_others(args) if args.join else _through_ours(args)
    for seen in found:
        if args.json:
            print(json.dumps(seen.to_json(), ensure_ascii=False))
            continue
        mark = f" [{seen.genuine}]" if args.verify else ""
        print(f"{seen.kind} by {seen.author[:12]} until {seen.expires}{mark}")
        print(f"    {seen.body}")
    if not found:
        sys.stderr.write("pockethive: nothing is stored under this key\n")
    return 0 if found and all(seen.ok for seen in found) else 1


def _through_ours(args: argparse.Namespace) -> Sequence["SeenEntry"]:
    from pockethive.control import ask
    from pockethive.reading import SeenEntry

    found = ask(device_folder(args), "get", key=args.key, careful=args.careful)
    return [SeenEntry.of_json(one) for one in found]


def _through_others(args: argparse.Namespace) -> Sequence["SeenEntry"]:
    import asyncio

    from pockethive.reading import key_of, network_of, passing_node, read_entries

    hive = network_of(args.hive, home_of(args))
    key_of(args.key, hive)

    async def read() -> Sequence["SeenEntry"]:
        async with passing_node(args.join, hive, home_of(args)) as (node, entries):
            return await read_entries(node, entries, args.key, hive=hive, careful=args.careful)

    return asyncio.run(read())
