"""`pockethive doctor`: look at what PocketHive needs on this machine and say what is wrong."""

import argparse
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from pockethive.cli.options import add_home, home_of
from pockethive.core.errors import PocketHiveError

Look = Callable[[Path], str]
"""Looks at one thing below the home folder; returns what it saw, raises when it is wrong."""

_LEAST_FREE = 1_000_000_000
_NEEDED = ("pykka", "kademlia", "orjson", "tenacity", "cryptography")
_FOR_MODELS = ("openvino", "tokenizers", "llguidance")


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="say what is wrong on this machine, and the cure")
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per thing looked at. 1 when something is wrong."""
    home, wrong = home_of(args), 0
    for name, look in LOOKS.items():
        try:
            print(f"ok      {name}: {look(home)}")
        except (PocketHiveError, OSError) as error:
            wrong += 1
            print(f"WRONG   {name}: {error}")
    return 1 if wrong else 0


def _python(_: Path) -> str:
    return f"{sys.version.split()[0]} on {sys.platform}"


def _packages(_: Path) -> str:
    return ", ".join(f"{name} {_installed(name)}" for name in _NEEDED)


def _model_packages(_: Path) -> str:
    return ", ".join(f"{name} {_installed(name, 'pockethive[models]')}" for name in _FOR_MODELS)


def _installed(name: str, extra: str = "pockethive") -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError as error:
        raise PocketHiveError(
            f"the package {name} is missing", cure=f"pip install '{extra}'"
        ) from error


def _home(home: Path) -> str:
    from pockethive.home import make_private

    make_private(home)
    probe = home / ".doctor"
    probe.write_bytes(b"x")
    probe.unlink()
    for key in home.rglob("*.key"):
        if key.stat().st_mode & 0o077:
            raise PocketHiveError(f"others can read {key}", cure=f"chmod 600 {key}")
    return str(home)


def _disk(home: Path) -> str:
    free = shutil.disk_usage(home).free
    if free < _LEAST_FREE:
        raise PocketHiveError(
            f"only {free / 1e6:.0f} MB are free", where=str(home), cure="free at least 1 GB"
        )
    return f"{free / 1e9:.0f} GB free"


def _network(_: Path) -> str:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", udp.getsockname()[1]))
        udp.sendto(b"x", udp.getsockname())
        udp.settimeout(1.0)
        udp.recv(1)
    return "UDP and TCP open on loopback"


def _models(home: Path) -> str:
    from pockethive.inference import list_models

    here = [card.title for card in list_models(home)]
    return ", ".join(here) or "none yet; `pockethive models get` makes the default one"


LOOKS: dict[str, Look] = {
    "python": _python,
    "packages": _packages,
    "model packages": _model_packages,
    "home": _home,
    "disk": _disk,
    "network": _network,
    "models": _models,
}
