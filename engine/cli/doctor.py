"""`pockethive doctor`: look at what PocketHive needs on this machine and say what is wrong.

What concerns a node itself (clock, port, database, peers) is in `examination.py`.
"""

import argparse
import json
import socket
import sys
from pathlib import Path

from pockethive.cli.examination import Case, Look, examinations
from pockethive.cli.options import add_hive, add_home, add_join, add_json, home_of
from pockethive.core.errors import PocketHiveError

_NEEDED = ("pykka", "kademlia", "orjson", "tenacity", "cryptography")
_FOR_MODELS = ("openvino", "onnxruntime", "tokenizers", "llguidance")
_EXTRA = "pockethive[models]"


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("doctor", help="say what is wrong on this machine, and the cure")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings of the node")
    add_json(parser)
    add_join(parser)
    add_hive(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per thing looked at. 1 when something is wrong."""
    case, findings = _case(args), []
    for name, look in {**LOOKS, **examinations()}.items():
        ok, said, cure = True, "", ""
        try:
            said = look(case)
        except PocketHiveError as error:
            ok, cure = False, error.cure
            said = f"{error.where}: {error.what}" if error.where else error.what
        except OSError as error:
            ok, said = False, f"{error.filename or ''} {error.strerror or error}".strip()
        findings.append({"look": name, "ok": ok, "said": said, "cure": cure})
    if args.json:
        print(json.dumps(findings))
    else:
        for one in findings:
            cure = f" ({one['cure']})" if one["cure"] else ""
            print(f"{'ok     ' if one['ok'] else 'WRONG  '} {one['look']}: {one['said']}{cure}")
    return 0 if all(one["ok"] for one in findings) else 1


def _case(args: argparse.Namespace) -> Case:
    """What the settings file says of the node, and the command line."""
    if args.config is None:
        return Case(home=home_of(args), join=tuple(args.join), hive=args.hive)
    from pockethive.configs.settings import load_settings

    file = load_settings(args.config)
    return Case(
        home=file.home if args.home is None else home_of(args),
        listen=file.address,
        join=(*file.join, *args.join),
        hive=args.hive or (file.hive if "hive" in file.model_fields_set else None),
        quota=file.quota_mb * 1_000_000,
    )


def _python(_: Case) -> str:
    return f"{sys.version.split()[0]} on {sys.platform}"


def _packages(_: Case) -> str:
    return ", ".join(f"{name} {_installed(name)}" for name in _NEEDED)


def _model_packages(case: Case) -> str:
    """A device without any of them goes without models, unless it has some."""
    from importlib.util import find_spec

    from pockethive.inference import list_models

    if not any(map(find_spec, _FOR_MODELS)) and not list_models(case.home):
        return f"none; tasks that need a model go elsewhere (pip install '{_EXTRA}' brings them)"
    return ", ".join(f"{name} {_installed(name, _EXTRA)}" for name in _FOR_MODELS)


def _installed(name: str, extra: str = "pockethive") -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError as error:
        raise PocketHiveError(
            f"the package {name} is missing",
            cure=f"pip install '{extra}', in a checkout '{extra.replace('pockethive', '.')}'",
        ) from error


def _network(_: Case) -> str:
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


def _models(case: Case) -> str:
    from pockethive.inference import list_models

    here = [card.title for card in list_models(case.home)]
    return ", ".join(here) or "none yet; `pockethive models get` makes the default one"


LOOKS: dict[str, Look] = {
    "python": _python,
    "packages": _packages,
    "model packages": _model_packages,
    "network": _network,
    "models": _models,
}
