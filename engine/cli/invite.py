"""`pockethive invite`: found a private hive at the first use, and let somebody into it."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_home, address, duration, hive_name, home_of
from pockethive.core.errors import BadInput

if TYPE_CHECKING:
    from pockethive.dht.contact import Contact
    from pockethive.hive_store import HiveStore

_QR_KINDS = (".svg", ".png")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "invite",
        help="make a link that lets another home into your private hive",
        description="Make an invitation link. The first one founds the hive; `pockethive node` of "
        "this home lets the invited in, so it has to run when they join.",
    )
    parser.add_argument("--uses", type=int, default=1, metavar="N", help="homes (default: 1)")
    parser.add_argument(
        "--expires", default="24h", metavar="TIME", help="such as 30m, 24h or 7d (default: 24h)"
    )
    parser.add_argument(
        "--hive", type=hive_name, metavar="NAME", help="name of a new hive (default: home)"
    )
    parser.add_argument("--name", metavar="NAME", help="this device's name on the list")
    parser.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="where this home's node is reached (default: where the running one listens)",
    )
    parser.add_argument("--qr", type=Path, metavar="FILE", help="write a QR code (.svg or .png)")
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the link, on a terminal with its QR code."""
    from pockethive.dht.identity import Identity
    from pockethive.dht.invitation import check_terms
    from pockethive.founding import Founder
    from pockethive.home import NODE

    life, home = int(duration(args.expires)), home_of(args)
    check_terms(args.uses, life)  # before a hive is founded
    if args.qr is not None and args.qr.suffix.lower() not in _QR_KINDS:
        raise BadInput(f"{args.qr} is no QR code", cure="name a file that ends in .svg or .png")
    at = [address(text) for text in args.at]
    store = _hive(home, args)
    try:
        founder, charter = Founder.of(home, store), store.charter
        if founder is None or charter is None:
            raise BadInput(
                "this home cannot invite: it does not hold the hive's key",
                cure="invite from the home that founded the hive",
            )
        device = Identity.load_or_create(home / NODE).public
        contacts = _contacts(home, charter.network, device, at)
        invitation = founder.invite(contacts, device, args.uses, life)
    finally:
        store.close()
    link = invitation.link()
    if args.qr is not None:
        write_qr(link, args.qr)
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(invitation.expires))
    times = "once" if args.uses == 1 else f"{args.uses} times"
    sys.stderr.write(
        f"An invitation to the hive {charter.name!r}, good {times} until {until}. Whoever has it "
        "can join:\n  pockethive join LINK\n"
    )
    if all(contact.host.startswith(("127.", "::1")) for contact in contacts):
        sys.stderr.write("It works on this machine only: the node listens on loopback.\n")
    print(link)
    if sys.stdout.isatty():
        print(qr_text(link))
    return 0


def qr_text(link: str) -> str:
    """The link as a QR code of half blocks, for a terminal."""
    import io

    import segno

    out = io.StringIO()
    segno.make_qr(link, error="l").terminal(out, compact=True, border=2)
    return out.getvalue()


def write_qr(link: str, path: Path) -> None:
    """The link as a QR code in an SVG or PNG file. Raises BadInput when it cannot be written."""
    import segno

    try:
        segno.make_qr(link, error="m").save(str(path), scale=4)
    except OSError as error:
        raise BadInput(f"cannot write: {error.strerror}", where=str(path)) from error


def _hive(home: Path, args: argparse.Namespace) -> "HiveStore":
    """The home's hive; founded now where there is none."""
    from pockethive.founding import found_hive
    from pockethive.hive_store import hive_of
    from pockethive.home import machine_name

    store = hive_of(home)
    if store is not None:
        known = store.charter.name if store.charter is not None else args.hive
        if args.hive not in (None, known) or args.name is not None:
            store.close()
            raise BadInput(
                f"this home belongs to the hive {known!r} already; nothing is named anew",
                cure="leave out --hive and --name, or found another hive in another --home",
            )
        return store
    if not args.at:  # what runs here now is of another hive
        raise _nobody_there()
    name = args.hive or "home"
    store = found_hive(home, name, machine_name() if args.name is None else args.name)
    sys.stderr.write(
        f"The hive {name!r} is founded; its key is in {home}: keep a copy.\n"
        "Devices of this home that run now belong to it once they are started anew.\n"
    )
    return store


def _contacts(
    home: Path, network: str, device: bytes, at: list[tuple[str, int]]
) -> "list[Contact]":
    from pockethive.dht.contact import Contact
    from pockethive.home import NODE
    from pockethive.peers import running_contact

    contacts = [Contact(device, host, port) for host, port in at]
    if not contacts and (running := running_contact(home / NODE, network)) is not None:
        contacts = [running]
    if not contacts:
        raise _nobody_there()
    return contacts


def _nobody_there() -> BadInput:
    return BadInput(
        "no node of this home is running that could let somebody in",
        cure="start `pockethive node --listen HOST:PORT`, or say with --at where it will be",
    )
