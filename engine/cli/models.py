"""`pockethive models`: list, get, quantize, measure and remove local models."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pockethive.cli import embeddings, evaluation, shared_models, speed
from pockethive.cli.options import add_home, end_in_order, home_of
from pockethive.inference.catalogue import DEFAULT_MODEL, QUANTIZATIONS

if TYPE_CHECKING:
    from pockethive.inference.bundle import Bundle
    from pockethive.inference.shelf import Listed
    from pockethive.inference.workshop import Progress

_MEGABYTE = 1_000_000


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command with its actions."""
    models = commands.add_parser("models", help="list, get, measure and remove local models")
    actions = models.add_subparsers(title="actions", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="models on this device, and known ones to get")
    listing.add_argument("--shared", action="store_true", help="also what the hive's devices share")
    listing.set_defaults(run=run_list)
    shared_models.add_meeting(listing)
    add_home(listing)

    get = actions.add_parser(
        "get",
        help="make a model if it is missing, check it if not; with the default one comes what "
        "finds passages by their meaning",
    )
    get.set_defaults(run=run_get)
    _add_making(get)
    shared_models.add_meeting(get)

    quantize = actions.add_parser("quantize", help="make a model anew")
    quantize.set_defaults(run=run_quantize)
    _add_making(quantize)
    quantize.add_argument(
        "--plans",
        action="store_true",
        help="write on the card that this model's free plans are good; measure them first",
    )
    quantize.add_argument(
        "--judged",
        metavar="RIGHT/ASKED",
        help="write on the card how many held-out claims this model judged rightly by yes or no; "
        "teams may use `judge` from a lower bound of 80 %% on",
    )
    quantize.add_argument(
        "--force", action="store_true", help="keep it also when it lost too much of its source"
    )

    removing = actions.add_parser("remove", help="delete a model from this device")
    removing.add_argument("model", help="a name from `models list`, or `tools` for the quantizer")
    removing.add_argument("--quantization", choices=QUANTIZATIONS, help="only this one")
    removing.set_defaults(run=run_remove)
    add_home(removing)

    shared_models.register(actions)
    evaluation.register(actions)
    speed.register(actions)


def run_list(args: argparse.Namespace) -> int:
    """Print a table, or tab-separated lines when nobody watches."""
    from pockethive.inference.shelf import list_missing, list_models

    home = home_of(args)
    rows: list[tuple[str, ...]] = [
        (
            each.name,
            each.quantization,
            f"{each.size / _MEGABYTE:.0f} MB" if each.folder else "-",
            each.licence,
            each.source,
            _speed(each),
            f"damaged: {each.fault}" if each.fault else "here" if each.folder else "can be got",
        )
        for each in [*list_models(home), *list_missing(home)]
    ]
    rows += embeddings.rows(home)
    if args.shared:
        rows += shared_models.rows_of_shared(args)
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "quantization", "size", "licence", "source", "speed", "state")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0


def _speed(each: "Listed") -> str:
    """Tokens a second that it writes, if that was measured here."""
    from pockethive.inference.speed import read_speed

    known = None if each.folder is None else read_speed(each.folder, each.sha256)
    return "-" if known is None else f"{known.decode:.1f}/s"


def run_get(args: argparse.Namespace) -> int:
    """Make sure that a model is here and sound."""
    from pockethive.inference.catalogue import find_source
    from pockethive.inference.embedding_maker import DEFAULT_ENCODER
    from pockethive.inference.quantizer import Job
    from pockethive.inference.shelf import get

    if embeddings.knows(args.model):
        end_in_order()
        with progress_printer(sys.stderr) as progress:
            return embeddings.get(args.model, args, progress)
    if args.model.startswith("hive:"):
        with progress_printer(sys.stderr) as progress:
            bundle = shared_models.get_shared(args, progress)
        return _tell(bundle)
    end_in_order()
    job = Job(
        find_source(args.model),
        home_of(args),
        args.quantization,
        args.torch_index,
        accepted=args.accept_licence,
    )
    with progress_printer(sys.stderr) as progress:
        told = _tell(get(job, progress))
        if args.model != DEFAULT_MODEL:
            return told
        return embeddings.get(DEFAULT_ENCODER, args, progress)


def run_quantize(args: argparse.Namespace) -> int:
    """Make a model anew, also when it is here."""
    from pockethive.inference.accuracy import measured
    from pockethive.inference.catalogue import find_source
    from pockethive.inference.quantizer import Job, quantize

    end_in_order()
    source, home = find_source(args.model), home_of(args)
    judge = None if args.judged is None else measured(args.judged)
    job = Job(
        source,
        home,
        args.quantization,
        args.torch_index,
        plans=args.plans,
        judge=judge,
        force=args.force,
        accepted=args.accept_licence,
    )
    with progress_printer(sys.stderr) as progress:
        bundle = quantize(job, progress)
    return _tell(bundle)


def run_remove(args: argparse.Namespace) -> int:
    """Delete a model, or the quantizer's tools."""
    from pockethive.inference.shelf import remove, remove_tools

    home: Path = home_of(args)
    if args.model == "tools":
        freed = remove_tools(home)
    elif embeddings.knows(args.model):
        freed = embeddings.remove(args.model, home)
    else:
        freed = remove(args.model, home, args.quantization)
    print(f"removed {args.model}: {freed / _MEGABYTE:.0f} MB freed")
    return 0


@contextmanager
def progress_printer(out: TextIO, *, quiet: bool = False) -> Iterator["Callable[[Progress], None]"]:
    """Show how a model is made: a bar for people, a line per stage for logs, or nothing."""
    if quiet:
        yield lambda _: None
        return
    if not out.isatty():
        yield _lines(out)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=out)) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda p: bar.update(task, description=p.stage, completed=p.fraction)


def _lines(out: TextIO) -> "Callable[[Progress], None]":
    told = ""

    def tell(progress: "Progress") -> None:
        nonlocal told
        if progress.stage != told:
            told = progress.stage
            out.write(f"{progress.fraction:4.0%} {progress.stage}\n")
            out.flush()

    return tell


def _tell(bundle: "Bundle") -> int:
    from pockethive.inference.quality import read_quality

    card = bundle.card
    print(f"{card.name} {card.quantization} is ready in {bundle.folder}")
    print(f"{bundle.size / _MEGABYTE:.0f} MB, {card.licence}, sha256 {card.sha256}")
    if quality := read_quality(bundle.folder, card.sha256):
        print(f"it {quality}{evaluation.whose(bundle.folder, 'quality.json')}")
    return 0


def _add_making(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        help="known name, Hugging Face id, GGUF file, folder, or the address of a shared one "
        f"(default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--accept-licence",
        metavar="NAME",
        default="",
        help="agree to a licence that is not one of those taken without asking, by its name",
    )
    parser.add_argument("--quantization", choices=QUANTIZATIONS, default="int8")
    parser.add_argument(
        "--torch-index", metavar="URL", help="package index that PyTorch is taken from"
    )
    add_home(parser)
