"""Which desk holds the keys and values of which tokens. Pure.

An attention that wants a sequence's keys and values in one piece, and those of texts that are read
together in neighbouring ones, works at desks. Blocks (`blocks.py`) are its shelf: what is needed is
brought from there, and what was written goes back when somebody else wants it, or the desk. So most
of what is written never leaves its desk, and all that is known of blocks holds for desks, too.

Guards: the newest content of a block is in one place, and nothing is written over before it is
returned; a block that changed is at no desk under its old content.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from pockethive.inference.blocks import BLOCK, blocks_for

_NONE: Final = -1  # the block of a place whose content is nobody's any more


@dataclass(frozen=True, slots=True)
class Bring:
    """Copy a block to a place, counted in blocks, of a desk."""

    block: int
    desk: int
    place: int


@dataclass(frozen=True, slots=True)
class Return:
    """Copy a place of a desk to a block."""

    desk: int
    place: int
    block: int


@dataclass(frozen=True, slots=True)
class Shift:
    """Copy the first places of a desk to another."""

    desk: int
    to: int
    places: int


Move = Bring | Return | Shift
Moves = list[Move]


@dataclass(slots=True, eq=False)
class Desk:
    """`blocks`: what lies at its places; `filled`: tokens, the last block's perhaps in part."""

    blocks: list[int] = field(default_factory=list)
    filled: int = 0
    used: int = 0  # when; the lower, the longer ago


class Desks:
    """All desks of one graph. Moves are to be made in their order, before the next question."""

    def __init__(self, count: int) -> None:
        self._desks = [Desk() for _ in range(count)]
        self._newest: dict[int, tuple[int, int]] = {}  # by block: desk and place, if not the shelf
        self._turn = 0

    def __len__(self) -> int:
        return len(self._desks)

    def filled(self, desk: int) -> int:
        """Tokens that lie at a desk."""
        return self._desks[desk].filled

    def seat(
        self, blocks: Sequence[int], past: int, taken: Collection[int] = ()
    ) -> tuple[int, Moves]:
        """A desk, none of those `taken`, with the first `past` tokens of a sequence.

        It is the one where the least has to be moved; of those alike the longest unused.
        """
        costs = {
            number: (self._cost(number, blocks, past), desk.used, number)
            for number, desk in enumerate(self._desks)
            if number not in taken
        }
        chosen = min(costs, key=costs.__getitem__)
        desk, have = self._desks[chosen], self._have(chosen, blocks, past)
        moves = self._clear(chosen, have)
        for place in range(have, blocks_for(past)):
            moves += self.returned([blocks[place]])
            moves.append(Bring(blocks[place], chosen, place))
        desk.blocks, desk.filled = list(blocks[: blocks_for(past)]), past
        self._turn += 1
        desk.used = self._turn
        return chosen, moves

    def together(self, desks: Sequence[int]) -> tuple[list[int], Moves]:
        """The same sequences at neighbouring desks, in any order: where each is now."""
        count = len(desks)
        starts = range(len(self._desks) - count + 1)
        first = max(starts, key=lambda start: (_within(desks, start, count), -start))
        window = range(first, first + count)
        free = [number for number in window if number not in desks]
        now, moves = list(desks), Moves()
        for place, number in enumerate(desks):
            if number not in window:
                now[place] = free.pop()
                moves += self._shift(number, now[place])
        return now, moves

    def wrote(self, number: int, blocks: Sequence[int], past: int, end: int) -> None:
        """Tokens from `past` to `end` of a sequence were written at its desk."""
        desk = self._desks[number]
        for place in range(past // BLOCK, blocks_for(end)):
            if self._newest.get(blocks[place]) != (number, place):
                self._unseat(blocks[place])
                self._newest[blocks[place]] = (number, place)
        desk.blocks, desk.filled = list(blocks[: blocks_for(end)]), end

    def returned(self, blocks: Sequence[int]) -> Moves:
        """Have the newest content of blocks on the shelf."""
        found = [(block, self._newest.pop(block, None)) for block in blocks]
        return [Return(*where, block) for block, where in found if where is not None]

    def all_returned(self) -> Moves:
        """Have all on the shelf, and nothing at a desk."""
        moves = self.returned(list(self._newest))
        self._desks = [Desk() for _ in self._desks]
        return moves

    def changed(self, blocks: Sequence[int]) -> None:
        """What blocks hold on the shelf is new, or lost."""
        for block in blocks:
            self._newest.pop(block, None)
            self._unseat(block)

    def _cost(self, number: int, blocks: Sequence[int], past: int) -> int:
        """Blocks that would be moved: brought, or returned and perhaps brought again."""
        have = self._have(number, blocks, past)
        return blocks_for(past) - have + 2 * len(self._only_here(number, have))

    def _have(self, number: int, blocks: Sequence[int], past: int) -> int:
        """How many leading places of a desk hold what a sequence has there."""
        desk = self._desks[number]
        most = blocks_for(past) if desk.filled >= past else desk.filled // BLOCK
        have = 0
        while have < most and desk.blocks[have] == blocks[have]:
            have += 1
        return have

    def _only_here(self, number: int, first: int) -> list[int]:
        """Places from `first` on whose content is nowhere else."""
        blocks = self._desks[number].blocks
        places = range(first, len(blocks))
        return [place for place in places if self._newest.get(blocks[place]) == (number, place)]

    def _clear(self, number: int, first: int) -> Moves:
        desk = self._desks[number]
        moves = self.returned([desk.blocks[place] for place in self._only_here(number, first)])
        del desk.blocks[first:]
        desk.filled = min(desk.filled, first * BLOCK)
        return moves

    def _shift(self, number: int, to: int) -> Moves:
        moves, desk = self._clear(to, 0), self._desks[number]
        for place in self._only_here(number, 0):
            self._newest[desk.blocks[place]] = (to, place)
        self._desks[to], self._desks[number] = desk, Desk()
        return [*moves, Shift(number, to, len(desk.blocks))]

    def _unseat(self, block: int) -> None:
        for desk in self._desks:
            if block in desk.blocks:
                desk.blocks[desk.blocks.index(block)] = _NONE
                while desk.blocks and desk.blocks[-1] == _NONE:
                    desk.blocks.pop()
                desk.filled = min(desk.filled, len(desk.blocks) * BLOCK)


def _within(desks: Sequence[int], start: int, count: int) -> int:
    return sum(start <= number < start + count for number in desks)
