"""`pockethive peers`: whom the node of this home knows."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from pockethive.cli.options import add_asking, device_folder, home_of
from pockethive.core.credibility import trust


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "peers",
        help="list the peers of the node in this home",
        description="List the peers in the routing table of the node of this home, and which of "
        "them are devices of its hive. With --join, a passing node looks. What this home has seen "
        "of a device's work is shown with it, by model class.",
    )
    add_asking(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """One line a peer; 0 also when there is none."""
    found = _through_others(args) if args.join else _through_ours(args)
    found = with_credit(found, home_of(args))
    if args.json:
        print(json.dumps(found))
        return 0
    for peer in found:
        kind = "device" if peer["member"] else "peer"
        works = ", works" if peer.get("works") else ""
        if (lends := peer.get("lends")) is not None:
            works += ", lends itself now" if lends else ", does not lend itself now"
        print(f"{peer['contact']}  {kind}{works}" if peer["contact"] else f"{peer['device']}  away")
        for credit in peer["credit"]:
            print(f"    {_said(credit)}")
    if not found:
        print("no peers")
    return 0


def with_credit(found: list[dict[str, Any]], home: Path) -> list[dict[str, Any]]:
    """The peers with what this home has seen of their work; then devices that are away."""
    from pockethive.credits import credits_of

    seen: dict[str, list[dict[str, Any]]] = {}
    for credit in credits_of(home):
        standing = credit.standing
        seen.setdefault(credit.device, []).append(
            {
                "model": credit.model,
                "in_a_row": standing.in_a_row,
                "valid": standing.valid,
                "invalid": standing.invalid,
                "trust": round(trust(standing), 4),
                "fell": credit.fell,
                "fell_at": credit.fell_at,
            }
        )
    known = [{**peer, "credit": seen.pop(peer["device"], [])} for peer in found]
    away = [
        {"device": device, "contact": "", "member": False, "credit": credit}
        for device, credit in seen.items()
    ]
    return known + away


def _said(credit: dict[str, Any]) -> str:
    from pockethive.cli.console import plain

    model = f"model {credit['model'][:8]}" if credit["model"] else "without a model"
    text = (
        f"{model}: {credit['in_a_row']} verified in a row, {credit['valid']} in all, "
        f"{credit['invalid']} wrong; {credit['trust']:.0%} taken on credit"
    )
    if not credit["fell"]:
        return text
    day = time.strftime("%Y-%m-%d", time.gmtime(credit["fell_at"]))
    return f"{text}; fell on {day}: {' '.join(plain(credit['fell']).split())}"


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
