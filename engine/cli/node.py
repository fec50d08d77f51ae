"""`pockethive node`: one device of a hive, for as long as it is wanted."""

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_hive, add_home, add_join, address, home_of

if TYPE_CHECKING:
    from pockethive.device import DeviceSettings


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "node",
        help="run a device that stores, witnesses and works for the hive",
        description="Run a device until Ctrl-C. A `run` elsewhere uses it with --join.",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings in YAML (see configs/node.yaml)"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="where to listen for UDP and TCP (default 127.0.0.1 and any free port)",
    )
    parser.add_argument(
        "--documents",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="documents this device searches for the hive; only quotations leave it",
    )
    parser.add_argument("--model", default="", metavar="NAME[:QUANTIZATION]")
    parser.add_argument("--threads", type=int, metavar="N", help="for the model")
    parser.add_argument(
        "--no-work", action="store_true", help="store and witness only; take no tasks"
    )
    parser.add_argument("--mdns", action="store_true", help="find devices on the local network")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)
    add_join(parser)
    add_hive(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the device until it is told to end; always leaves in order with 0."""
    from pockethive.device import Device

    logging.basicConfig(
        level=logging.INFO if args.follow else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    device = Device(settings_of(args))
    device.start()
    try:
        _say_ready(device.id, str(device.contact), as_json=args.follow)
        if args.follow:
            threading.Thread(target=_until_closed, args=(ended,), daemon=True).start()
        ended.wait()
    finally:
        device.stop()
    return 0


def settings_of(args: argparse.Namespace) -> "DeviceSettings":
    """What the settings file says, then what the command line says: the command line wins.

    Raises:
        ConfigError: faults of the file. BadInput: an address that does not parse.
    """
    from pockethive.configs.settings import Settings, load_settings
    from pockethive.core.spec import ModelNeed
    from pockethive.device import DeviceSettings
    from pockethive.dht.contact import Contact

    file = load_settings(args.config) if args.config else Settings(home=home_of(args))
    home = file.home if args.home is None else home_of(args)
    name, _, quantization = (args.model or file.model or "").partition(":")
    works = file.work and not args.no_work
    return DeviceSettings(
        home=home,
        folder=args.folder or home / "node",
        hive=args.hive or file.hive,
        listen=address(args.listen) if args.listen else file.address,
        join=tuple(Contact.parse(text) for text in (*file.join, *args.join)),
        documents=(*file.documents, *args.documents),
        works=works,
        verifies=works,
        lends=file.lend,
        eager=args.follow,
        model=ModelNeed(name=name, quantization=quantization or file.quantization)
        if name
        else None,
        threads=args.threads if args.threads is not None else file.threads,
        mdns=args.mdns or file.mdns,
        quota_bytes=file.quota_mb * 1_000_000,
    )


def _say_ready(device: str, contact: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ready": True, "device": device, "contact": contact}), flush=True)
    else:
        print(f"device {device[:12]} is ready; others meet it with\n  --join {contact}", flush=True)


def _until_closed(ended: threading.Event) -> None:
    """The parent holds the other end of standard input; when it is gone, so are we."""
    while sys.stdin.buffer.read(4096):
        pass
    ended.set()
