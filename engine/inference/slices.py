"""What one pass reads, and how many tokens at once. Pure.

OpenVINO keeps code, and for some sizes another packed copy of all weights, for every number of
tokens that it has seen. Measured for the default model: 1.3 MB and 20 ms for each new number; a
second copy of 103 MB as soon as one pass has between 7 and 80 tokens (oneDNN packs for "small"
ones in another order). Guards: there are few sizes, so that memory does not grow with the numbers
of tokens that were ever read; without `roomy` none of them needs the second copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pockethive.inference.blocks import BLOCK, blocks_for

Floats = npt.NDArray[np.float32]
Contents = tuple[npt.NDArray[Any], ...]
"""What blocks hold: for each layer's keys and for its values, [blocks, ...]."""

MOST: Final = 256
"""Tokens of one pass at most: more at once are no faster, and cost memory."""
_FEW: Final = 4  # up to so many, weights are unpacked in registers: four cost little more than one
_DEAR: Final = 42  # so many are cheaper in fours than in one pass of the least large size
_LARGE: Final[tuple[int, ...]] = (*range(88, 128, 8), *range(128, MOST + 1, 16))
_SMALL: Final[tuple[int, ...]] = (1, 2, 3, 4)
_MIDDLE: Final[tuple[int, ...]] = (6, 8, 12, 16, 24, 32, 40, 48, 64, 80)
_ROWS: Final = (1, 2, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, MOST)


@dataclass(frozen=True, slots=True)
class Slice:
    """Tokens of one sequence: they follow `past` others, and `blocks` have room for all.

    `rows`: places within `ids` where numbers are wanted. `targets`: at each of them, the token
    whose log-probability is. `word`: it is one token, which was drawn for a text.
    """

    ids: Sequence[int]
    past: int
    blocks: Sequence[int]
    rows: Sequence[int]
    targets: Sequence[int]
    word: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """What came of the rows of all slices, in their order. Valid until the next pass.

    `logits` [rows, vocabulary]; `logprobs` [rows]: natural logarithms, of the targets.
    """

    logits: Floats
    logprobs: Floats


def passes(slices: Sequence[Slice], roomy: bool) -> list[list[Slice]]:
    """The same tokens in the same order, in as many passes as `MOST` and the sizes ask for."""
    sizes = _sizes(sum(len(piece.ids) for piece in slices), roomy)
    made: list[list[Slice]] = [[]]
    room = sizes.pop(0)
    for piece in slices:
        start = 0
        while start < len(piece.ids):
            if not room:
                made.append([])
                room = sizes.pop(0)
            end = min(len(piece.ids), start + room)
            made[-1].append(cut(piece, start, end))
            room -= end - start
            start = end
    return made


def padded(tokens: int, roomy: bool) -> int:
    """The size that a pass of so many tokens is filled up to."""
    sizes: tuple[int, ...] = _SMALL + _MIDDLE + _LARGE if roomy else _SMALL + _LARGE
    return next(size for size in sizes if size >= tokens)


def padded_rows(rows: int) -> int:
    """The same for the rows whose numbers are wanted."""
    return next(size for size in _ROWS if size >= rows)


def filling(tokens: int, block: int) -> Iterator[Slice]:
    """So many tokens that nobody wants, of sequences that all lie in one block."""
    for start in range(0, tokens, BLOCK):
        yield Slice([0] * min(BLOCK, tokens - start), 0, [block], (), ())


def accompanied(part: Sequence[Slice], spare: int) -> list[list[Slice]]:
    """The same in one pass or several, where no token is read without another of its sequence.

    The companion follows it, nobody wants it, and what comes next takes its place; in the block
    `spare` where the sequence has no room. A written word stays alone.
    """
    made = [piece if piece.word or len(piece.ids) > 1 else _paired(piece, spare) for piece in part]
    if sum(len(piece.ids) for piece in made) <= MOST:
        return [made]
    half = len(part) // 2
    return [*accompanied(part[:half], spare), *accompanied(part[half:], spare)]


def _paired(piece: Slice, spare: int) -> Slice:
    room = len(piece.blocks) * BLOCK >= piece.past + 2
    blocks = piece.blocks if room else [*piece.blocks, spare]
    return replace(piece, ids=[*piece.ids, 0], blocks=blocks)


def _sizes(tokens: int, roomy: bool) -> list[int]:
    if tokens > MOST:
        count = -(-tokens // MOST)
        return [tokens // count + (number < tokens % count) for number in range(count)]
    if not roomy and _FEW < tokens <= _DEAR:
        rest = tokens % _FEW
        return [_FEW] * (tokens // _FEW) + [rest] * bool(rest)
    return [tokens]


def cut(piece: Slice, start: int, end: int) -> Slice:
    """Some of a slice's tokens, as a slice."""
    if (start, end) == (0, len(piece.ids)):
        return piece
    rows = [(row, to) for row, to in zip(piece.rows, piece.targets, strict=True)]
    mine = [(row - start, to) for row, to in rows if start <= row < end]
    return Slice(
        ids=piece.ids[start:end],
        past=piece.past + start,
        blocks=piece.blocks[: blocks_for(piece.past + end)],
        rows=[row for row, _ in mine],
        targets=[to for _, to in mine],
    )
