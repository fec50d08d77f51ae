"""Which blocks of key-value memory hold which tokens.

A block holds the keys and values of `BLOCK` tokens. What was read once is known by its content: by
the block before it and its own tokens. A sequence begins with the blocks that are known, shares
them with others, and copies the one it writes on if somebody else reads it (Kwon et al. 2023,
"Efficient Memory Management for Large Language Model Serving with PagedAttention", arXiv
2309.06180; prefixes by tokens as in Zheng et al. 2024, "SGLang", arXiv 2312.07104).

Guards: a block is written by one sequence and read by no other meanwhile; what a room was promised
is there when it is needed, since no more is promised than there is; what nobody uses goes first,
the longest unused before others, and an end before its beginning. Pure.
"""

from collections import OrderedDict
from collections.abc import Sequence as Ids
from dataclasses import dataclass, field
from typing import Final

BLOCK: Final = 32
"""Tokens in a block: what OpenVINO's kernel for processors was built for."""

_ROOT: Final = 0  # the number of no block: what a first block follows


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens that were read, and the blocks that hold them, the last one perhaps in part.

    `chain`: the number under which each full block is known.
    """

    ids: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    chain: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class _Known:
    """A block by its content: what it follows, and its tokens, `BLOCK` of them or fewer."""

    parent: int
    ids: tuple[int, ...]
    block: int


Copies = list[tuple[int, int]]
"""Blocks to be copied before a sequence is written on: from, to."""


def blocks_for(tokens: int) -> int:
    """How many blocks hold so many tokens."""
    return -(-tokens // BLOCK)


class Blocks:
    """All blocks of one model. Not thread-safe.

    `remembered`: blocks that nobody reads and that stay known, at most; memory that was never
    written on costs nothing.
    """

    def __init__(self, count: int, remembered: int | None = None) -> None:
        self.count = count
        self._most = count if remembered is None else remembered
        self._unused = 0  # known blocks that nobody reads
        self._promised = 0
        self._free = list(range(count - 1, -1, -1))
        self._written: set[int] = set()  # since they were last given back
        self._readers = [0] * count
        self._known: OrderedDict[int, _Known] = OrderedDict()  # by number; last used last
        self._numbers: dict[int, int] = {}  # of blocks that are known
        self._after: dict[int, dict[tuple[int, ...], int]] = {}  # numbers by parent and tokens
        self._next = _ROOT + 1

    # promises

    def promise(self, blocks: int) -> bool:
        """Set blocks aside for a request; False when there are too few now."""
        if self._promised + blocks > self.count:
            return False
        self._promised += blocks
        return True

    def release(self, blocks: int) -> None:
        """A request has ended."""
        self._promised -= blocks

    @property
    def promised(self) -> int:
        """Blocks set aside."""
        return self._promised

    @property
    def used(self) -> int:
        """Blocks that hold something, in use or remembered."""
        return self.count - len(self._free)

    # sequences

    def begin(self, ids: Ids[int]) -> tuple[Sequence, Copies]:
        """A sequence with what is known of the beginning of `ids`, but for its last token.

        One token at least is left to read, because only reading gives logits.
        """
        made, numbers = Sequence(), self._numbers_of(ids)
        for number in numbers:
            self._join(made, number)
        parent = numbers[-1] if numbers else _ROOT
        copies = self._begin_in_part(made, parent, ids[len(made) : len(ids) - 1])
        for number in reversed(made.chain):  # a beginning outlives what follows it
            self._known.move_to_end(number)
        return made, copies

    def known(self, ids: Ids[int]) -> int:
        """How many tokens of a prompt are known in full blocks."""
        return len(self._numbers_of(ids)) * BLOCK

    def extend(self, sequence: Sequence, tokens: int) -> Copies:
        """Have room for so many tokens more, in blocks that nobody else reads."""
        copies: Copies = []
        if len(sequence) % BLOCK:
            last = sequence.blocks[-1]
            if self._readers[last] > 1:
                sequence.blocks[-1] = self._take()
                copies.append((last, sequence.blocks[-1]))
                self._leave(last)
            elif last in self._numbers:  # what it was known for is written over
                self._drop(self._numbers[last])
        while len(sequence.blocks) < blocks_for(len(sequence) + tokens):
            sequence.blocks.append(self._take())
        return copies

    def wrote(self, sequence: Sequence, ids: Ids[int]) -> None:
        """These tokens were read into the room that `extend` made."""
        sequence.ids.extend(ids)
        while len(sequence.chain) < len(sequence) // BLOCK:
            place = len(sequence.chain)
            piece = tuple(sequence.ids[place * BLOCK : (place + 1) * BLOCK])
            parent = sequence.chain[-1] if place else _ROOT
            sequence.chain.append(self._know(parent, piece, sequence.blocks[place]))

    def fork(self, sequence: Sequence) -> Sequence:
        """Another sequence that goes on from the same tokens."""
        for block in sequence.blocks:
            self._readers[block] += 1
        return Sequence(list(sequence.ids), list(sequence.blocks), list(sequence.chain))

    def end(self, sequence: Sequence) -> None:
        """Nobody needs a sequence any more; what it holds stays known as long as there is room."""
        full = len(sequence.chain)
        if rest := tuple(sequence.ids[full * BLOCK :]):
            self._know(sequence.chain[-1] if full else _ROOT, rest, sequence.blocks[full])
        for block in reversed(sequence.blocks):
            self._leave(block)
        sequence.ids, sequence.blocks, sequence.chain = [], [], []

    def given_back(self) -> list[int]:
        """Blocks that hold only what nobody will read, each named once, in order.

        Their memory may be lost from now on: who takes one writes it first.
        """
        while self._unused > self._most:
            self._drop_unused()
        gone = sorted(self._written.intersection(self._free))
        self._written.difference_update(gone)
        return gone

    def forget(self) -> None:
        """Know nothing any more but what is in use."""
        for number in list(self._known):
            self._drop(number)

    # inside

    def _begin_in_part(self, made: Sequence, parent: int, ids: Ids[int]) -> Copies:
        """Go on with as many tokens of some block that is known there as fit."""
        best, most = None, 0
        for piece, number in self._after.get(parent, {}).items():
            count = shared(piece, ids)
            if count > most:
                best, most = number, count
        if best is None:
            return []
        source = self._known[best].block
        self._known.move_to_end(best)
        target = self._take()  # the source itself, where nothing else is left: then it stays there
        made.blocks.append(target)
        made.ids.extend(ids[:most])
        return [(source, target)]

    def _numbers_of(self, ids: Ids[int]) -> list[int]:
        """The full blocks that are known of a prompt; its last token is in none of them."""
        found: list[int] = []
        parent = _ROOT
        for end in range(BLOCK, len(ids), BLOCK):
            number = self._after.get(parent, {}).get(tuple(ids[end - BLOCK : end]))
            if number is None:
                break
            found.append(number)
            parent = number
        return found

    def _join(self, sequence: Sequence, number: int) -> None:
        block, piece = self._known[number].block, self._known[number].ids
        self._unused -= not self._readers[block]
        self._readers[block] += 1
        sequence.blocks.append(block)
        sequence.chain.append(number)
        sequence.ids.extend(piece)

    def _know(self, parent: int, ids: tuple[int, ...], block: int) -> int:
        """The number under which these tokens after `parent` are known, now or before."""
        siblings = self._after.setdefault(parent, {})
        number = siblings.get(ids)
        if number is not None:
            self._known.move_to_end(number)
            return number
        number, self._next = self._next, self._next + 1
        siblings[ids] = number
        self._known[number] = _Known(parent, ids, block)
        self._numbers[block] = number
        return number

    def _take(self) -> int:
        """A block that nobody reads. Promises see to it that there is one."""
        if not self._free or self._unused > self._most:
            self._drop_unused()
        block = self._free.pop()
        self._readers[block] = 1
        self._written.add(block)
        return block

    def _leave(self, block: int) -> None:
        self._readers[block] -= 1
        if self._readers[block]:
            return
        if block in self._numbers:
            self._unused += 1
        else:
            self._free.append(block)

    def _drop_unused(self) -> None:
        """Know the block no more that nobody has read for longest."""
        unused = (n for n, known in self._known.items() if not self._readers[known.block])
        self._drop(next(unused))

    def _drop(self, number: int) -> None:
        """Know a block no more."""
        known = self._known.pop(number)
        del self._numbers[known.block]
        siblings = self._after[known.parent]
        del siblings[known.ids]
        if not siblings:
            del self._after[known.parent]
        if not self._readers[known.block]:
            self._unused -= 1
            self._free.append(known.block)


def shared(first: Ids[int], second: Ids[int]) -> int:
    """How many leading tokens two sequences have in common."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
