"""`pockethive models eval` and `card`: what a model is worth, measured and told in words.

Guards: what is told was measured with just this model and these prompts; the lower bound is what
counts; what the model must not be used for is said beside it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import add_home, end_in_order, home_of
from pockethive.core.errors import ModelError, StorageError
from pockethive.core.spec import ARITHMETICS, EXACT
from pockethive.inference.catalogue import DEFAULT_MODEL, QUANTIZATIONS
from pockethive.inference.tasks import PRIMITIVES

if TYPE_CHECKING:
    from pockethive.inference.bundle import Bundle
    from pockethive.inference.evaluation import Measured

_JUDGE_FROM = 0.8


def register(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both actions to `pockethive models`."""
    measure = actions.add_parser("eval", help="measure a model on held-out tasks; takes minutes")
    add_model(measure)
    add_arithmetic(measure)
    measure.add_argument(
        "--primitive", action="append", choices=PRIMITIVES, help="only this one; may be repeated"
    )
    measure.add_argument("--json", action="store_true", help="print all figures as JSON")
    measure.add_argument(
        "--plot", type=Path, metavar="FILE", help="write reliability diagrams as SVG"
    )
    measure.set_defaults(run=run_eval)

    card = actions.add_parser("card", help="what a model is, and what it is worth, in words")
    add_model(card)
    card.set_defaults(run=run_card)


def run_eval(args: argparse.Namespace) -> int:
    """Measure, keep the figures beside the card, print them."""
    from pockethive.inference import open_model
    from pockethive.inference.evaluation import keep, marks, measured
    from pockethive.inference.tasks import task_set

    end_in_order()
    home = home_of(args)
    bundle = bundle_of(args)
    model = open_model(str(bundle.folder), home, arithmetic=args.arithmetic)
    results = []
    for primitive in args.primitive or PRIMITIVES:
        tasks = task_set(primitive, "held")
        results.append(measured(tasks, marks(tasks, model, _teller(primitive, len(tasks.items)))))
        if args.arithmetic != EXACT:
            continue
        try:
            keep(bundle, results[-1:])
        except OSError as error:
            print(f"not kept beside the card: {error}", file=sys.stderr)
    _tell(args, bundle, results)
    return 0


def run_card(args: argparse.Namespace) -> int:
    """Print the card of a model that is here."""
    from pockethive.inference.evaluation import kept_results

    bundle = bundle_of(args)
    print("\n".join(words(bundle, kept_results(bundle))))
    return 0


def words(bundle: "Bundle", results: "Sequence[Measured]") -> list[str]:
    """A card as lines: what it is, what it is worth, what it must not be used for."""
    from pockethive.inference.quality import read_quality
    from pockethive.inference.speed import read_speed

    card = bundle.card
    lines = [
        f"{card.name} {card.quantization}: {card.parameters / 1e6:.0f} million parameters, "
        f"reads {card.context} tokens, {card.licence}",
        f"from {card.source}; sha256 {card.sha256}",
    ]
    if quality := read_quality(bundle.folder, card.sha256):
        lines.append(f"It {quality}{whose(bundle.folder, 'quality.json')}.")
    if speed := read_speed(bundle.folder, card.sha256):
        lines.append(f"It {speed}.")
    ask = f"pockethive models eval {card.name} --quantization {card.quantization}"
    lines += table(results) if results else [f"Not measured here yet: {ask}"]
    if results and (said := whose(bundle.folder, "accuracy.json")):
        lines.append(f"These figures are not of this device{said}.")
    if (card.judge_accuracy or 0.0) < _JUDGE_FROM:
        shown = "not measured" if card.judge_accuracy is None else f"{card.judge_accuracy:.1%}"
        lines.append(f"Must not judge by yes or no (on the card: {shown}); let it choose instead.")
    if not card.plans:
        lines.append("Must not write plans or summaries of its own words.")
    weak = [each.primitive for each in results if each.low < _JUDGE_FROM]
    if weak:
        lines.append(f"Below 80 % and only to be used with a check: {', '.join(weak)}.")
    return lines


def whose(folder: Path, name: str) -> str:
    """Who measured what stands in a file beside the card; nothing if it was this device."""
    from pockethive.inference.parcel import told_by

    device = told_by(folder, name)
    if device is None:
        return ""
    return f", says device {device[:8]} that shared it" if device else ", says who shared it"


def table(results: "Sequence[Measured]") -> list[str]:
    """A line per primitive; the lower ends of the 95 % intervals are what counts."""
    lines = ["primitive  right    at least  mean score  at least  ECE    by kind"]
    for each in results:
        kinds = ", ".join(f"{kind} {a}/{b}" for kind, (a, b) in each.kinds.items())
        lines.append(
            f"{each.primitive:<9}  {each.right:>3}/{each.items:<3}  {each.low:>7.1%}  "
            f"{each.score:>10.3f}  {each.score_low:>8.3f}  {each.ece:.3f}  {kinds}"
        )
    return lines


def _tell(args: argparse.Namespace, bundle: "Bundle", results: "Sequence[Measured]") -> None:
    if args.plot:
        from pockethive.inference.reliability_plot import draw

        title = f"{bundle.card.name} {bundle.card.quantization}: confidence and what came true"
        try:
            args.plot.write_text(draw(title, results), encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"the plot cannot be written: {error.strerror}",
                where=str(args.plot),
                cure="name a file in a folder that is there",
            ) from error
    if args.json:
        import orjson

        told = {"card": bundle.card.sha256, "results": [asdict(each) for each in results]}
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    print("\n".join(words(bundle, results)))


def _teller(primitive: str, count: int) -> Callable[[int], None]:
    def tell(done: int) -> None:
        if done % 50 == 0 or done == count:
            print(f"{primitive}: {done} of {count}", file=sys.stderr, flush=True)

    return tell


def bundle_of(args: argparse.Namespace) -> "Bundle":
    """The bundle that the options of `add_model` name. Raises ModelError, UnknownModel."""
    from pockethive.inference.bundle import open_bundle
    from pockethive.inference.shelf import find_bundle

    home = home_of(args)
    folder = find_bundle(args.model, args.quantization, home)
    if folder is None:
        raise ModelError(
            f"the model {args.model} {args.quantization} is not on this device yet",
            where=str(home / "models"),
            cure=f"get it: `pockethive models get {args.model}`",
        )
    return open_bundle(folder)


def add_model(parser: argparse.ArgumentParser) -> None:
    """A model by name or folder, its quantization, and the home."""
    parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="name or bundle folder")
    parser.add_argument("--quantization", choices=QUANTIZATIONS, default="int8")
    add_home(parser)


def add_arithmetic(parser: argparse.ArgumentParser) -> None:
    """How a model that is loaded for this command alone reckons."""
    parser.add_argument(
        "--arithmetic",
        choices=ARITHMETICS,
        default=EXACT,
        help="as a team may choose it; figures of `quick` are shown, and not kept beside the card",
    )
