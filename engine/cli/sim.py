"""`pockethive sim SCENARIO`: many simulated devices in virtual time, and what came of it."""

import argparse
import json
import sys
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "sim",
        help="play a scenario: many simulated devices in virtual time",
        description="Play a scenario with the machines and the DHT of real devices on a virtual "
        "network. The same seed plays the same. Exit code 1: a run never ended, or a rule of the "
        "protocol was broken.",
    )
    parser.add_argument("scenario", help="a YAML file, or a shipped scenario such as `churn`")
    parser.add_argument("--seed", type=int, metavar="N", help="another play (default: the file's)")
    parser.add_argument("--devices", type=int, metavar="N", help="so many devices in all")
    parser.add_argument("--tasks", type=int, metavar="N", help="so many tasks in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="write how tasks were committed, as SVG"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play, and print the report. Raises ConfigError."""
    from pockethive.configs.scenario import load_scenario
    from pockethive.core.errors import BadInput

    scenario = load_scenario(args.scenario).sized(args.devices, args.tasks)
    seed = scenario.seed if args.seed is None else args.seed
    if not 0 <= seed < 2**53:
        raise BadInput(f"a seed of {seed}", where="--seed", cure="from 0 to 2^53")
    if args.plot is not None and not args.plot.absolute().parent.is_dir():
        raise BadInput(f"no folder {args.plot.absolute().parent}", where="--plot")

    import logging

    from pockethive.sim_play import play
    from pockethive.sim_plot import draw

    log = logging.getLogger("pockethive")
    before = log.level
    log.setLevel(logging.CRITICAL)  # faults are what is wanted here
    try:
        report = play(scenario, seed)
    finally:
        log.setLevel(before)
    if args.plot is not None:
        args.plot.write_text(draw(report))
    if args.json:
        json.dump(report.to_json(), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print(report.to_text())
    return 0 if report.sound else 1
