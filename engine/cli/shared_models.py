"""`pockethive models share`, `get hive:…` and `list --shared`: models that devices give each other.

The node of the home is asked; where none runs, getting and listing start its device for as long as
they take.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pockethive.cli.options import (
    add_hive,
    add_home,
    add_join,
    device_folder,
    end_in_order,
    home_of,
)
from pockethive.inference.catalogue import DEFAULT_MODEL, QUANTIZATIONS

if TYPE_CHECKING:
    from pockethive.inference.bundle import Bundle
    from pockethive.inference.workshop import Progress, Tell

Ask = Callable[..., Any]
"""`ask(what, **fields)` -> what the device says. Raises PocketHiveError."""

_MEGABYTE = 1_000_000


def register(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `share` to `pockethive models`."""
    share = actions.add_parser(
        "share",
        help="let the devices of the hive get a model from this one",
        description="The node of this home keeps a copy of the bundle and gives it to members of "
        "its hive, as long as it runs. `pockethive models list --shared` shows them.",
    )
    share.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="name or bundle folder")
    share.add_argument("--quantization", choices=QUANTIZATIONS, default="int8")
    share.add_argument("--stop", action="store_true", help="give it to nobody any more")
    share.set_defaults(run=run_share)
    add_home(share)


def add_meeting(parser: argparse.ArgumentParser) -> None:
    """`--join` and `--hive`, for whoever asks other devices."""
    add_join(parser)
    add_hive(parser)


def run_share(args: argparse.Namespace) -> int:
    """Print the address; needs a node that runs, because it is the node that gives."""
    from pockethive.control import ask

    model = str(Path(args.model).absolute()) if Path(args.model).is_dir() else args.model
    fields = {"name": model, "quantization": args.quantization, "stop": args.stop}
    answer = ask(device_folder(args), "model-share", **fields)
    if args.stop:
        shared = "is not shared any more" if answer["ended"] else "was not shared"
        print(f"{args.model} {args.quantization} {shared}")
        return 0
    print(answer["address"])
    print(
        "members of the hive get it with `pockethive models get` and this address", file=sys.stderr
    )
    return 0


def get_shared(args: argparse.Namespace, progress: "Tell") -> "Bundle":
    """The bundle at the address `args.model`, fetched from the hive and checked."""
    from pockethive.inference.bundle import open_bundle
    from pockethive.model_sharing import parcel_of

    parcel_of(args.model)
    end_in_order()
    with asking(args) as ask:
        while True:
            fields = {"address": args.model, "accepted": args.accept_licence}
            answer = ask("model-get", **fields)
            if answer["folder"]:
                return open_bundle(Path(answer["folder"]))
            progress(_progress(answer["got"], answer["size"]))


def rows_of_shared(args: argparse.Namespace) -> list[tuple[str, ...]]:
    """What members share, as lines of the list."""
    from pockethive.cli.console import plain

    with asking(args) as ask:
        found = ask("model-list")
    return [
        (
            plain(one["name"]),
            plain(one["quantization"]),
            f"{one['size'] / _MEGABYTE:.0f} MB",
            plain(one["licence"]),
            one["address"],
            "-",
            f"shared by {one['device'][:8]}",
        )
        for one in found
    ]


@contextlib.contextmanager
def asking(args: argparse.Namespace) -> "Iterator[Ask]":
    """Ask the node of the home; where none runs, or others are to be joined, its device itself."""
    from pockethive.control import ask

    folder = device_folder(args)
    if not args.join and _runs(folder):
        yield lambda what, **fields: ask(folder, what, **fields)
        return
    with _device(args) as own:
        yield own


def _runs(folder: Path) -> bool:
    from pockethive.control import NotRunning, ask

    try:
        ask(folder, "status")
    except NotRunning:
        return False
    return True


@contextlib.contextmanager
def _device(args: argparse.Namespace) -> "Iterator[Ask]":
    from pockethive.device import Device, DeviceSettings
    from pockethive.dht.contact import Contact
    from pockethive.model_ways import ModelWays

    home = home_of(args)
    settings = DeviceSettings(
        home=home,
        folder=device_folder(args),
        hive=args.hive or "home",
        private=not args.hive,
        join=tuple(map(Contact.parse, args.join)),
        remembers=True,
        works=False,
        verifies=False,
    )
    device = Device(settings)
    device.start()
    ways = ModelWays(device)
    try:
        yield lambda what, **fields: device.call(ways.ways[what](fields))  # type: ignore[arg-type]  # an awaitable of ours is a coroutine
    finally:
        device.call(ways.stop())
        device.stop()


def _progress(got: int, size: int) -> "Progress":
    from pockethive.inference.workshop import Progress

    if not size:
        return Progress("asking the hive", 0.0)
    return Progress(f"fetching {size / _MEGABYTE:.0f} MB", got / size)
