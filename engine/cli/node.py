"""`pockethive node`: one device of a hive, for as long as it is wanted."""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_hive, add_home, add_join, address, home_of

if TYPE_CHECKING:
    from pockethive.core.spec import ModelNeed
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
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME[:QUANTIZATION]",
        help="(default: the default model, if it is here)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of the model")
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
    ended, ready = threading.Event(), threading.Event()
    device = Device(settings_of(args))
    if args.follow:
        threading.Thread(target=_until_closed, args=(ended, ready), daemon=True).start()
    device.start()  # until it is ready an interrupt ends it like any command
    try:
        ready.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        _say_ready(device.id, str(device.contact), as_json=args.follow)
        ended.wait()
    finally:
        device.stop()
    return 0


def settings_of(args: argparse.Namespace) -> "DeviceSettings":
    """What the settings file says, then what the command line says: the command line wins.

    Raises:
        ConfigError: faults of the file. BadInput: an address that does not parse.
    """
    from pockethive.core.spec import ModelNeed
    from pockethive.device import DeviceSettings
    from pockethive.dht.contact import Contact

    settings = _from_file(args) or DeviceSettings(home=home_of(args), folder=Path())
    home = settings.home if args.home is None else home_of(args)
    works = settings.works and not args.no_work
    name, _, quantization = args.model.partition(":")
    return replace(
        settings,
        home=home,
        folder=args.folder or home / "node",
        hive=args.hive or settings.hive,
        listen=address(args.listen) if args.listen else settings.listen,
        join=(*settings.join, *map(Contact.parse, args.join)),
        documents=(*settings.documents, *args.documents),
        works=works,
        verifies=works,
        eager=args.follow,
        model=ModelNeed(name=name, quantization=quantization or "int8") if name else settings.model,
        threads=settings.threads if args.threads is None else args.threads,
        mdns=args.mdns or settings.mdns,
    )


def _installed(args: argparse.Namespace, home: Path) -> "ModelNeed | None":
    """The default model, where it has been made: most tasks of the hive need one."""
    if args.follow or args.no_work:
        return None
    from pockethive.core.spec import ModelNeed
    from pockethive.inference import DEFAULT_MODEL, find_bundle

    here = find_bundle(DEFAULT_MODEL, "int8", home)
    return ModelNeed(name=DEFAULT_MODEL) if here is not None else None


def _from_file(args: argparse.Namespace) -> "DeviceSettings | None":
    """The settings file, where one is named; its validation is loaded only then."""
    if args.config is None:
        return None
    from pockethive.configs.settings import load_settings
    from pockethive.core.spec import ModelNeed
    from pockethive.device import DeviceSettings
    from pockethive.dht.contact import Contact

    file = load_settings(args.config)
    return DeviceSettings(
        home=file.home,
        folder=file.home / "node",
        hive=file.hive,
        listen=file.address,
        join=tuple(map(Contact.parse, file.join)),
        documents=file.documents,
        works=file.work,
        lends=file.lend,
        model=ModelNeed(name=file.model, quantization=file.quantization) if file.model else None,
        threads=file.threads,
        mdns=file.mdns,
        quota_bytes=file.quota_mb * 1_000_000,
    )


def _say_ready(device: str, contact: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ready": True, "device": device, "contact": contact}), flush=True)
    else:
        print(f"device {device[:12]} is ready; others meet it with\n  --join {contact}", flush=True)


def _until_closed(ended: threading.Event, ready: threading.Event) -> None:
    """The parent holds the other end of standard input; when it is gone, so are we.

    A device that is not ready yet waits for a parent that cannot answer any more, and would keep
    its folder from the next run: it leaves at once, with nothing half written (SQLite, renames).
    """
    while sys.stdin.buffer.read(4096):
        pass
    ended.set()
    if not ready.is_set():
        os._exit(1)
