"""`pockethive members`: who belongs to the private hive, and who does no longer."""

import argparse
import json
import sys
import time
from typing import Any

from pockethive.cli.options import add_home, counted, home_of
from pockethive.core.errors import BadInput, Failure


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "members",
        help="list the devices of your private hive, or revoke one",
        description="List the devices of the private hive of this home.",
    )
    parser.add_argument(
        "--revoke",
        metavar="DEVICE_OR_OWNER",
        help="take a device, or all devices of a person, off the list: a name or the beginning of "
        "a key; running nodes of this home tell the others",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, after a revocation the new one."""
    from pockethive.dht.identity import Identity
    from pockethive.founding import Founder
    from pockethive.hive_store import hive_of
    from pockethive.home import NODE

    home = home_of(args)
    store = hive_of(home)
    if store is None:
        raise BadInput(
            "this home belongs to no private hive",
            cure="found one with `pockethive invite`, or join one with `pockethive join LINK`",
        )
    try:
        own = Identity.load_or_create(home / NODE).public
        if args.revoke is not None:
            founder = Founder.of(home, store)
            if founder is None:
                raise BadInput(
                    "this home cannot revoke: it does not hold the hive's key",
                    cure="revoke from the home that founded the hive",
                )
            for gone in founder.revoke(args.revoke, own):
                sys.stderr.write(f"revoked: {gone.device_name} of {gone.owner_name}\n")
        charter, listed = store.charter, store.newest()
    finally:
        store.close()
    if charter is None or listed is None:
        raise Failure("this home has no member list", cure="join again")
    rows = [_row(member, own) for member in listed.members]
    if args.json:
        about = {"hive": charter.name, "id": charter.id.hex(), "version": listed.version}
        about |= {"generation": listed.generation, "members": rows}
        print(json.dumps(about, ensure_ascii=False))
        return 0
    print(f"{charter.name}, version {listed.version}: {counted(len(rows), 'device')}")
    for row in rows:
        here = " (this home)" if row["here"] else ""
        print(f"  {row['device'][:12]}  {row['name']}, {row['owner_name']}'s{here}")
    return 0


def _row(member: Any, own: bytes) -> dict[str, Any]:
    from pockethive.core.canonical import to_text

    return {
        "device": to_text(member.device),
        "name": member.device_name,
        "owner": to_text(member.owner),
        "owner_name": member.owner_name,
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(member.since)),
        "here": member.device == own,
    }
