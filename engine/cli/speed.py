"""`pockethive models bench`: how fast a model is on this device."""

import argparse
import sys
from dataclasses import asdict

from pockethive.cli.evaluation import add_arithmetic, add_model, bundle_of
from pockethive.cli.options import add_json, add_threads, end_in_order, home_of
from pockethive.core.spec import EXACT


def register(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the action to `pockethive models`."""
    bench = actions.add_parser(
        "bench",
        help="measure how fast a model reads and writes on this device",
        description="Load a model, let it read and write three times, and keep the middle figures "
        "beside its card. Anything else that runs meanwhile slows it down.",
    )
    add_model(bench)
    add_arithmetic(bench)
    add_threads(bench)
    add_json(bench)
    bench.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, keep, print."""
    from pockethive.inference import open_model, usable_cores
    from pockethive.inference.speed import keep_speed, measure

    end_in_order()
    bundle = bundle_of(args)
    threads = args.threads or usable_cores()
    model = open_model(
        str(bundle.folder), home_of(args), arithmetic=args.arithmetic, threads=threads
    )
    speed = measure(model, bundle.card.sha256, threads)
    try:
        if args.arithmetic == EXACT:
            keep_speed(bundle.folder, speed)
    except OSError as error:
        print(f"not kept beside the card: {error}", file=sys.stderr)
    if args.json:
        import orjson

        print(orjson.dumps(asdict(speed)).decode())
    else:
        how = "" if args.arithmetic == EXACT else f" {args.arithmetic} (not kept beside the card)"
        print(f"{bundle.card.name} {bundle.card.quantization}{how} {speed}")
    return 0
