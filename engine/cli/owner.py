"""`pockethive owner`: the person behind a home's devices, and linking further homes to it."""

import argparse
import json
from pathlib import Path
from typing import Any

from pockethive.cli.options import add_home, home_of
from pockethive.core.errors import BadInput

_MAX_TEXT = 16_384


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "owner",
        help="your key: make it, show it, certify another of your devices",
        description="The owner's key certifies devices. It is made where it is first needed and "
        "never leaves that home.",
    )
    steps = parser.add_subparsers(title="steps", metavar="STEP", required=True)
    init = steps.add_parser("init", help="make the key, or change the name shown to others")
    init.add_argument("--name", metavar="NAME", help="your name on member lists (default: login)")
    init.set_defaults(run=run_init)
    show = steps.add_parser("show", help="the public key, and the devices certified here")
    show.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    show.set_defaults(run=run_show)
    link = steps.add_parser(
        "link",
        help="certify another device of yours",
        description="On the new device: `owner link --request` prints a request. On the device "
        "with your key: `owner link REQUEST` prints certificates. On the new device again: `owner "
        "link CERTIFICATE`. Texts may be given as files.",
    )
    link.add_argument("text", nargs="?", metavar="TEXT_OR_FILE")
    link.add_argument("--request", action="store_true", help="print a request for this device")
    link.set_defaults(run=run_link)
    for step in (init, show, link):
        add_home(step)


def run_init(args: argparse.Namespace) -> int:
    """Make the key; say whose it is."""
    from pockethive.core.errors import BadEncoding
    from pockethive.dht.identity import OwnerKey
    from pockethive.dht.member_list import check_name
    from pockethive.home import Person, keep_person, make_private, person_of

    home = home_of(args)
    make_private(home)
    person = person_of(home)
    try:
        name = check_name(args.name if args.name is not None else person.name)
    except BadEncoding as error:
        raise BadInput(str(error)) from error
    keep_person(home, Person(name=name, linked=person.linked))
    if person.linked is None:
        OwnerKey.load_or_create(home)
    return run_show(argparse.Namespace(home=home, json=False))


def run_show(args: argparse.Namespace) -> int:
    """Print the public key and the devices."""
    about = _about(home_of(args))
    if args.json:
        print(json.dumps(about, ensure_ascii=False))
        return 0
    where = "on another device of yours" if about["linked"] else f"in {about['home']}"
    print(f"{about['name']}: {about['owner']}\n  the secret key is {where}")
    for device in about["devices"]:
        print(f"  {device['device'][:12]}  {device['folder']}")
    return 0


def run_link(args: argparse.Namespace) -> int:
    """One of the three steps."""
    from pockethive.linking import REQUEST, answer_link, install_link, request_link

    home = home_of(args)
    if args.request:
        print(request_link(home))
        return 0
    if args.text is None:
        raise BadInput(
            "there is nothing to link",
            cure="on the new device, begin with: pockethive owner link --request",
        )
    text = _text(args.text)
    if text.startswith(REQUEST):
        print(answer_link(home, text))
        return 0
    person = install_link(home, text)
    print(f"this home's devices are {person.name}'s now")
    return 0


def _text(given: str) -> str:
    """The text itself, or what the file of that name holds."""
    if given.startswith("pockethive-"):
        return given.strip()
    try:
        with Path(given).open(encoding="ascii") as file:
            return file.read(_MAX_TEXT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"neither a text to link nor a file: {given[:80]!r}") from error


def _about(home: Path) -> dict[str, Any]:
    from pockethive.core.canonical import to_text
    from pockethive.dht.identity import Identity, OwnerKey
    from pockethive.home import certified_folders, person_of

    person = person_of(home)
    if person.linked is None and not (home / OwnerKey.FILE).exists():
        raise BadInput("this home has no owner yet", cure="pockethive owner init")
    public = person.linked or OwnerKey.load_or_create(home).public
    devices = [
        {
            "device": to_text(Identity.load_or_create(folder).public),
            "folder": str(folder.relative_to(home)),
        }
        for folder in certified_folders(home, public)
    ]
    return {
        "name": person.name,
        "owner": to_text(public),
        "linked": person.linked is not None,
        "home": str(home),
        "devices": devices,
    }
