"""Options that several commands share."""

import argparse
from pathlib import Path

from pockethive.core.errors import BadInput


def add_home(parser: argparse.ArgumentParser) -> None:
    """`--home DIR`."""
    parser.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help="where keys, models and indexes are kept (default: $POCKETHIVE_HOME or the "
        "user's data folder)",
    )


def add_join(parser: argparse.ArgumentParser) -> None:
    """`--join KEY@HOST:PORT`, repeatable."""
    parser.add_argument(
        "--join",
        action="append",
        default=[],
        metavar="KEY@HOST:PORT",
        help="a device to meet the hive through, as `pockethive node` prints it (repeatable)",
    )


def add_hive(parser: argparse.ArgumentParser) -> None:
    """`--hive NAME`."""
    parser.add_argument("--hive", metavar="NAME", help="the hive's name (default: home)")


def home_of(args: argparse.Namespace) -> Path:
    """The home folder that was asked for, or the default one."""
    from pockethive.configs.home import default_home

    home: Path | None = args.home
    return home.expanduser() if home is not None else default_home()


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`. Raises BadInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise BadInput(f"{text!r} is not HOST:PORT", cure="for example 127.0.0.1:7300")
    return host.strip("[]"), int(port)
