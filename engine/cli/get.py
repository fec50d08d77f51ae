"""`pockethive get KEY`: read entries from the DHT, and with `--verify` check every signature."""

import argparse
import json
import sys

from pockethive.cli.options import add_hive, add_join
from pockethive.core.errors import BadInput


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "get",
        help="read signed entries from the DHT",
        description="Read the entries under a key: a task id (run/name/hash), 40 hex digits, or "
        "`members`.",
    )
    parser.add_argument("key")
    parser.add_argument("--verify", action="store_true", help="say of each whether it is genuine")
    parser.add_argument("--json", action="store_true", help="one JSON object per entry")
    add_join(parser)
    add_hive(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what the nodes nearest to the key hold. 1 when there is nothing."""
    import asyncio

    from pockethive.reading import read_entries

    if not args.join:
        raise BadInput("no node to ask", cure="name one with --join KEY@HOST:PORT")
    found = asyncio.run(read_entries(args.key, args.join, args.hive or "home"))
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
