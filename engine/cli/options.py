"""Options that several commands share."""

import argparse
import math
import re
import signal
from pathlib import Path

from pockethive.core.errors import BadEncoding, BadInput


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


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """`--timeout TIME`, in whole seconds: what is left of one counts."""
    parser.add_argument(
        "--timeout",
        type=_timeout,
        metavar="TIME",
        help="give up after so long, such as 90s or 5m; making a model that is missing counts",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """`--threads N`."""
    parser.add_argument(
        "--threads",
        type=_threads,
        metavar="N",
        help="CPU threads of the model (default: one per core)",
    )


def end_in_order() -> None:
    """From now on SIGTERM, and the end of the terminal, do what Ctrl-C does. On the main thread."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def add_hive(parser: argparse.ArgumentParser) -> None:
    """`--hive NAME`."""
    parser.add_argument(
        "--hive",
        type=hive_name,
        metavar="NAME",
        help="an open hive by name (default: the private hive of the home, where it belongs to "
        "one, else the open hive `home`)",
    )


def home_of(args: argparse.Namespace) -> Path:
    """The home folder that was asked for, or the default one."""
    from pockethive.configs.home import default_home

    home: Path | None = args.home
    return home.expanduser().absolute() if home is not None else default_home()


def counted(number: int, word: str) -> str:
    """`1 device`, `2 devices`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


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


def add_receipts(parser: argparse.ArgumentParser) -> None:
    """`--receipts` and `--answer`."""
    parser.add_argument(
        "--receipts",
        type=Path,
        metavar="FILE",
        help="write what proves the run to others; `pockethive verify-receipt FILE` checks it",
    )
    parser.add_argument(
        "--answer",
        type=Path,
        metavar="FILE",
        help="write the output that the receipt binds (further ones to FILE.2, …)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def add_asking(parser: argparse.ArgumentParser) -> None:
    """What commands take that ask the node of a home, or others through `--join`."""
    add_json(parser)
    add_join(parser)
    add_hive(parser)
    add_home(parser)


def hive_name(text: str) -> str:
    """A name of a hive. Raises BadInput."""
    from pockethive.dht.charter import check_hive_name

    try:
        return check_hive_name(text)
    except BadEncoding as error:
        raise BadInput(error.what, where="--hive", cure=error.cure) from error


def _timeout(text: str) -> int:
    seconds = duration(text)
    if not 1 <= seconds <= _MAX_TIMEOUT:
        raise BadInput(f"a time limit of {text}", where="--timeout", cure="from 1s to 7d")
    return math.ceil(seconds)


def _threads(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise BadInput(
            f"{text!r} is no number of threads",
            where="--threads",
            cure=f"give 1 to {MAX_THREADS}, or leave it out for one per core",
        )
    return int(text)


MAX_THREADS = 256
_MAX_TIMEOUT = 7 * 86_400  # as a team's own limit
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1e6, "M": 1e6, "G": 1e9, "MB": 1e6, "GB": 1e9}


def _measure(text: str, units: dict[str, float], example: str) -> float:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([A-Za-z]*)", text.strip())
    if found is None or found.group(2) not in units:
        raise BadInput(f"{text!r} is no such measure", cure=f"for example {example}")
    return float(found.group(1)) * units[found.group(2)]
