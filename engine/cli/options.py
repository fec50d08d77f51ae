"""Options that several commands share."""

import argparse
import re
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
    parser.add_argument(
        "--hive",
        metavar="NAME",
        help="an open hive by name (default: the private hive of the home, where it belongs to "
        "one, else the open hive `home`)",
    )


def home_of(args: argparse.Namespace) -> Path:
    """The home folder that was asked for, or the default one."""
    from pockethive.configs.home import default_home

    home: Path | None = args.home
    return home.expanduser().absolute() if home is not None else default_home()


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `[IPV6]:PORT`. Raises BadInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise BadInput(f"{text!r} is not HOST:PORT", cure="for example 127.0.0.1:7300")
    return host.strip("[]"), int(port)


def duration(text: str) -> float:
    """Seconds in `20s`, `1.5m`, `2h`, `7d` or a bare number. Raises BadInput."""
    return _measure(text, _SECONDS, "20s, 5m, 12h or 7d")


def size(text: str) -> int:
    """Bytes in `512M`, `2G` or a bare number of megabytes (10^6 bytes). Raises BadInput."""
    return int(_measure(text, _BYTES, "512M or 2G"))


def device_folder(args: argparse.Namespace) -> Path:
    """Where the device of `pockethive node` lives in the home that was asked for."""
    from pockethive.home import NODE

    return home_of(args) / NODE


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def add_asking(parser: argparse.ArgumentParser) -> None:
    """What commands take that ask the node of a home, or others through `--join`."""
    add_json(parser)
    add_join(parser)
    add_hive(parser)
    add_home(parser)


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1e6, "M": 1e6, "G": 1e9, "MB": 1e6, "GB": 1e9}


def _measure(text: str, units: dict[str, float], example: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([A-Za-z]*)", text.strip())
    if found is None or found.group(2) not in units:
        raise BadInput(f"{text!r} is no such measure", cure=f"for example {example}")
    return float(found.group(1)) * units[found.group(2)]
