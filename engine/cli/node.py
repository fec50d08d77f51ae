"""`pockethive node`: one device of a hive, for as long as it is wanted.

SIGTERM drains and ends with 0, Ctrl-C ends at once in order and with 0, a second signal ends at
once. Before the node is ready, Ctrl-C ends it with 130 and SIGTERM with 143.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pockethive.cli.options import (
    add_hive,
    add_home,
    add_join,
    add_threads,
    address,
    duration,
    home_of,
    size,
)
from pockethive.core.errors import BadInput
from pockethive.logs import FORMS, LEVELS, configure

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pockethive.configs.settings import Settings
    from pockethive.core.spec import ModelNeed
    from pockethive.device import Device, DeviceSettings

log = logging.getLogger(__name__)

DRAIN_SECONDS = 20.0
MAX_DRAIN_SECONDS = 3_600.0
ENDING_SECONDS = 12.0  # what a device may take to end whose swarm was killed a moment ago


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
        metavar="NAME[:QUANTIZATION[:ARITHMETIC]]",
        help="(default: the default model, if it is here)",
    )
    add_threads(parser)
    parser.add_argument(
        "--no-work", action="store_true", help="store and witness only; take no tasks"
    )
    parser.add_argument(
        "--lend",
        choices=("always", "idle", "never"),
        help="when to work for other owners' runs (default idle: while nothing else goes on)",
    )
    parser.add_argument("--mdns", action="store_true", help="find devices on the local network")
    parser.add_argument(
        "--quota", metavar="SIZE", help="kept for others' blobs at most, such as 512M or 2G"
    )
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="serve /metrics, /health and /ready there over HTTP, such as 127.0.0.1:9464",
    )
    parser.add_argument(
        "--drain",
        metavar="TIME",
        help="how long work in hand may take to end after SIGTERM (default 20s)",
    )
    parser.add_argument("--log", choices=FORMS, help="lines for people, or JSON (default text)")
    parser.add_argument("--log-level", choices=LEVELS, help="the least serious (default warning)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)
    add_join(parser)
    add_hive(parser)
    add_home(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What the command was told: its device, and how to look after it.

    `memory`: bytes up to which a model may take it, 0: all that is free; `drain` in seconds.
    """

    device: "DeviceSettings"
    metrics: tuple[str, int] | None
    memory: int
    drain: float
    log: str
    level: str


class Ending:
    """How the process is told to end: the first signal asks, the second insists.

    The main thread waits at a pipe: a handler runs in the middle of whatever that thread does, so
    that an Event would lock up in there; and where the kernel gives a signal to another thread, as
    to a process that was stopped, only a pipe wakes the main one.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._end, self._ask = os.pipe()

    def listen(self) -> None:
        """From now on signals are taken here. On the main thread."""
        os.set_blocking(self._ask, False)
        signal.set_wakeup_fd(self._ask, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def ask(self) -> None:
        """End, please. Any thread."""
        os.write(self._ask, b"\0")

    def wait(self) -> None:
        """Until somebody asks."""
        os.read(self._end, 1)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number


def run(args: argparse.Namespace) -> int:
    """Run the device until it is told to end; once it is ready it leaves in order, with 0."""
    from pockethive.device import Device
    from pockethive.service import NodeService, ServiceSettings

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    stay, ending, ready = stay_of(args), Ending(), threading.Event()
    undo = configure(stay.log, stay.level, sys.stderr)
    if stay.memory:
        from pockethive.inference.footprint import keep_below

        keep_below(stay.memory)
    device = Device(stay.device)
    service = NodeService(device, ServiceSettings(metrics=stay.metrics))
    if args.follow:
        threading.Thread(target=_until_closed, args=(ending.ask, ready), daemon=True).start()
    device.start()  # until it is ready a signal ends it like any command
    try:
        device.call(service.start())
        ready.set()
        ending.listen()
        _say_ready(device.id, str(device.contact), as_json=args.follow)
        arrival = device.arrive()
        arrival.add_done_callback(lambda done: ending.ask() if _failure(done) else None)
        ending.wait()
        _leave(device, stay.drain if ending.signal == signal.SIGTERM else 0.0)
        if failure := _failure(arrival):
            raise failure
    finally:
        device.call(service.stop())
        device.stop()
        undo()
    return 0


def _failure(arrival: "Future[None]") -> BaseException | None:
    """Why the device could not come into its hive, if it could not."""
    ended = arrival.done() and not arrival.cancelled()
    return arrival.exception() if ended else None


def _leave(device: "Device", seconds: float) -> None:
    log.info("leaving", extra={"fields": {"drain": seconds}})
    drained = device.drain(seconds)
    fields = {"given_up": drained.given_up, "handed_over": drained.handed_over}
    log.info("left", extra={"fields": fields})


def stay_of(args: argparse.Namespace) -> Stay:
    """What the settings file says, then what the command line says: the command line wins.

    Raises:
        ConfigError: faults of the file. BadInput: something that does not parse.
    """
    file = _file(args)
    metrics = file.metrics if file is not None else None
    metrics = metrics if args.metrics is None else args.metrics
    drain = file.drain_seconds if file is not None else DRAIN_SECONDS
    drain = drain if args.drain is None else duration(args.drain)
    if drain > MAX_DRAIN_SECONDS:
        raise BadInput("a node drains for an hour at most", cure="for example --drain 20s")
    level = "info" if args.follow else file.log_level if file is not None else "warning"
    return Stay(
        device=settings_of(args, file),
        metrics=address(metrics) if metrics else None,
        memory=0 if file is None else file.memory_mb * 1_000_000,
        drain=0.0 if args.follow else drain,
        log=args.log or (file.log if file is not None else "text"),
        level=args.log_level or level,
    )


def settings_of(args: argparse.Namespace, file: "Settings | None" = None) -> "DeviceSettings":
    """The device, by the settings file and the command line.

    Raises BadInput: an address or a size that does not parse.
    """
    from pockethive.device import DeviceSettings
    from pockethive.dht.contact import Contact
    from pockethive.home import NODE

    settings = (
        DeviceSettings(home=home_of(args), folder=Path()) if file is None else _from_file(file)
    )
    home = settings.home if args.home is None else home_of(args)
    works = settings.works and not args.no_work
    model = _model_of(args.model) if args.model else settings.model
    if model is None and file is None:
        model = _installed(args, home)
    return replace(
        settings,
        home=home,
        folder=args.folder or home / NODE,
        hive=args.hive or settings.hive,
        private=settings.private and not args.hive,
        remembers=not args.follow,
        listen=address(args.listen) if args.listen else settings.listen,
        join=(*settings.join, *map(Contact.parse, args.join)),
        documents=(*settings.documents, *args.documents),
        works=works,
        verifies=works,
        **_lending(args, file),
        folder_patience=ENDING_SECONDS if args.follow else 0.0,
        patient=args.follow,  # its parent waits for a device that knows the others
        eager=args.follow,
        model=model,
        threads=settings.threads if args.threads is None else args.threads,
        mdns=args.mdns or settings.mdns,
        quota_bytes=settings.quota_bytes if args.quota is None else size(args.quota),
    )


def _lending(args: argparse.Namespace, file: "Settings | None") -> dict[str, Any]:
    """When it works for others. A swarm's own devices do always: their owner uses them."""
    from pockethive.core.idle import GateSettings

    default = "always" if args.follow else "idle" if file is None else file.lend
    lend, gate = args.lend or default, GateSettings()
    if file is not None:
        gate = replace(
            gate, load=file.idle_load, battery=file.idle_battery, quiet=file.idle_seconds
        )
    return {"lends": lend != "never", "gate": gate if lend == "idle" else None}


def _model_of(text: str) -> "ModelNeed":
    """`NAME[:QUANTIZATION[:ARITHMETIC]]`. Raises BadInput."""
    from pockethive.core.spec import ARITHMETICS, EXACT, ModelNeed
    from pockethive.inference.catalogue import QUANTIZATIONS

    name, _, rest = text.partition(":")
    quantization, _, arithmetic = rest.partition(":")
    known = quantization in ("", *QUANTIZATIONS) and arithmetic in ("", *ARITHMETICS)
    if not name or not known:
        raise BadInput(
            f"{text!r} is no model",
            where="--model",
            cure=f"write NAME, or NAME:{' or NAME:'.join(QUANTIZATIONS)}, or NAME:int8:quick",
        )
    return ModelNeed(name=name, quantization=quantization or "int8", arithmetic=arithmetic or EXACT)


def _installed(args: argparse.Namespace, home: Path) -> "ModelNeed | None":
    """The default model, where it has been made: most tasks of the hive need one."""
    if args.follow or args.no_work:
        return None
    from pockethive.core.spec import ModelNeed
    from pockethive.inference import DEFAULT_MODEL, find_bundle

    here = find_bundle(DEFAULT_MODEL, "int8", home)
    return ModelNeed(name=DEFAULT_MODEL) if here is not None else None


def _file(args: argparse.Namespace) -> "Settings | None":
    """The settings file, where one is named; its validation is loaded only then."""
    if args.config is None:
        return None
    from pockethive.configs.settings import load_settings

    return load_settings(args.config)


def _from_file(file: "Settings") -> "DeviceSettings":
    from pockethive.core.spec import ModelNeed
    from pockethive.device import DeviceSettings
    from pockethive.dht.contact import Contact
    from pockethive.home import NODE

    return DeviceSettings(
        home=file.home,
        folder=file.home / NODE,
        hive=file.hive,
        private="hive" not in file.model_fields_set,
        listen=file.address,
        join=tuple(map(Contact.parse, file.join)),
        documents=file.documents,
        works=file.work,
        model=ModelNeed(name=file.model, quantization=file.quantization, arithmetic=file.arithmetic)
        if file.model
        else None,
        threads=file.threads,
        mdns=file.mdns,
        quota_bytes=file.quota_mb * 1_000_000,
    )


def _say_ready(device: str, contact: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ready": True, "device": device, "contact": contact}), flush=True)
    else:
        print(f"device {device[:12]} is ready; others meet it with\n  --join {contact}", flush=True)


def _until_closed(end: Callable[[], None], ready: threading.Event) -> None:
    """The parent holds the other end of standard input; when it is gone, so are we.

    A device that is not ready yet waits for a parent that cannot answer any more, and would keep
    its folder from the next run: it leaves at once, with nothing half written (SQLite, renames).
    """
    while os.read(sys.stdin.fileno(), 4096):  # a buffered read would be in the way of a good end
        pass
    end()
    if not ready.is_set():
        os._exit(1)
