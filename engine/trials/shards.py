"""Splitting a world's documents over devices, each of which keeps its own to itself."""

import random
from collections.abc import Sequence

from pockethive.core.errors import BadInput
from pockethive.trials.world import Document


def split(
    documents: Sequence[Document], holders: int, copies: int = 1, seed: int = 0
) -> tuple[tuple[Document, ...], ...]:
    """The documents of each holder; every document is at `copies` holders, or at all if fewer.

    Holders differ by one document at most. Raises BadInput for less than one holder or copy.
    """
    if holders < 1 or copies < 1:
        raise BadInput(
            f"{holders} holders of {copies} copies", where="split", cure="take at least one of each"
        )
    mixed = random.Random(seed).sample(documents, len(documents))  # noqa: S311 to be repeated
    hands: list[list[Document]] = [[] for _ in range(holders)]
    for number, document in enumerate(mixed):
        for copy in range(min(copies, holders)):
            hands[(number * min(copies, holders) + copy) % holders].append(document)
    return tuple(tuple(sorted(hand, key=lambda each: each.name)) for hand in hands)
