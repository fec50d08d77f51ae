"""`pockethive put KEY VALUE`: leave a note, signed with this device's key, in the DHT."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pockethive.cli.options import add_asking, device_folder, duration, home_of
from pockethive.core.errors import BadInput, Failure


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "put",
        help="leave a small signed note in the DHT",
        description="Store at most 1,000 bytes under a key of your choice, for seven days at "
        "most, signed with this device's key. Every member of the hive can read it with `get`. A "
        "newer note under the same key and slot takes its place. The node of this home stores it; "
        "with --join, a passing node with this home's key.",
    )
    parser.add_argument("key", help="printable text of at most 200 bytes")
    parser.add_argument("value", nargs="?", help="the note's text")
    parser.add_argument("--file", metavar="FILE", help="the note's bytes (-: standard input)")
    parser.add_argument("--slot", default="", help="keep several notes under one key")
    parser.add_argument("--life", default="1h", metavar="TIME", help="such as 10m, 12h, 7d")
    add_asking(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Store it and say how many nodes hold a copy."""
    value, seconds = _value(args), int(duration(args.life))
    if args.join:
        answer = _through_others(args, value, seconds)
    else:
        from pockethive.control import ask
        from pockethive.core.canonical import to_text

        answer = ask(
            device_folder(args),
            "put",
            key=args.key,
            value=to_text(value),
            seconds=seconds,
            slot=args.slot,
        )
    if args.json:
        print(json.dumps(answer))
    else:
        copies = answer["copies"]
        print("one node holds the note" if copies == 1 else f"{copies} nodes hold the note")
    return 0


def _value(args: argparse.Namespace) -> bytes:
    from pockethive.dht.notes import MAX_VALUE

    if (args.value is None) == (args.file is None):
        raise BadInput("a note is one VALUE or one --file")
    if args.file is None:
        return str(args.value).encode("utf-8", "surrogateescape")
    try:
        with sys.stdin.buffer if args.file == "-" else Path(args.file).open("rb") as file:
            data = bytes(file.read(MAX_VALUE + 1))
    except OSError as error:
        raise BadInput(f"the file cannot be read: {error.strerror}", where=args.file) from error
    if len(data) > MAX_VALUE:
        raise BadInput("the file is too long", where=args.file, cure="a note has 1,000 bytes")
    return data


def _through_others(args: argparse.Namespace, value: bytes, seconds: int) -> dict[str, Any]:
    import asyncio

    from pockethive.actors.egress import Egress
    from pockethive.core.labels import Label
    from pockethive.dht.identity import Identity
    from pockethive.home import FolderLock
    from pockethive.reading import network_of, own_key, passing_node

    hive = network_of(args.hive, home_of(args))
    key, lock = own_key(args.key, hive), FolderLock(device_folder(args))
    if not lock.take():
        raise BadInput("the node of this home runs and uses its key", cure="leave --join out")

    async def put() -> int:
        identity = Identity.load_or_create(device_folder(args))
        async with passing_node(args.join, hive, home_of(args), identity) as (node, _):
            door = Egress(node, lambda _: Label.PUBLIC, private=False)
            return await door.note(key, value, seconds, args.slot) - 1  # ours ends with us

    try:
        copies = asyncio.run(put())
    finally:
        lock.release()
    if copies < 1:
        raise Failure("no node kept the note", cure="give it a longer --life, or another --slot")
    return {"copies": copies}
