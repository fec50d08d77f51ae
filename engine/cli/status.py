"""`pockethive status`: how the node of this home is."""

import argparse
import json
from typing import Any

from pockethive.cli.options import add_home, add_json, counted, device_folder


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("status", help="say how the node of this home is")
    add_json(parser)
    add_home(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print it. 1 when no node runs, or it is not well."""
    from pockethive.control import ask

    status: dict[str, Any] = ask(device_folder(args), "status")
    if args.json:
        print(json.dumps(status))
    else:
        for line in _lines(status):
            print(line)
    return 0 if status["well"] else 1


def _lines(status: dict[str, Any]) -> list[str]:
    state = "ready" if status["ready"] else "; ".join(status["reasons"])
    lending = status["lending"]
    records, blobs = status["records"], status["blobs"]
    sent, received = status["sent"]["bytes"] / 1e6, status["received"]["bytes"] / 1e6
    jobs, drops = sum(status["jobs"].values()), sum(status["drops"].values())
    return [
        f"device {status['device'][:12]}, process {status['pid']}: {state}",
        f"  up {status['uptime'] / 3_600:.1f} h, version {status['version']}, {status['contact']}",
        f"  {counted(status['peers'], 'peer')}, {counted(status['members'], 'device')} of the hive "
        f"{status['hive']}",
        f"  {counted(records['count'], 'record')} ({records['bytes'] / 1e6:.1f} MB), "
        f"{counted(status['cells'], 'cell')}, {counted(blobs['count'], 'blob')} "
        f"({blobs['bytes'] / 1e6:.1f} of {blobs['quota'] / 1e6:.0f} MB)",
        f"  {sent:.2f} MB sent, {received:.2f} MB received, {counted(drops, 'drop')}",
        f"  lending: {'yes' if lending['open'] else 'no'} ({lending['reason']})",
        f"  {counted(jobs, 'job')} in hand, {counted(status['leases'], 'lease')}, "
        f"{status['memory'] / 1e6:.0f} MB of memory, {status['cpu']:.1f} s of processor",
    ]
