"""Desks: whoever is seated finds what he wrote, however much is moved around him."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.inference.blocks import BLOCK, Blocks, blocks_for
from pockethive.inference.blocks import Sequence as Tokens
from pockethive.inference.desks import Bring, Desks, Moves, Return, Shift

LOST = -7


class Office:
    """Desks and a shelf that hold the tokens themselves, and blocks whose bookkeeping is real."""

    def __init__(self, blocks: int, desks: int) -> None:
        self.blocks, self.desks = Blocks(blocks), Desks(desks)
        self.shelf = np.full((blocks, BLOCK), LOST)
        self.rows = np.full((desks, blocks, BLOCK), LOST)
        self.moves: Moves = []

    def make(self, moves: Moves) -> None:
        for move in moves:
            self.moves.append(move)
            match move:
                case Bring(block, desk, place):
                    self.rows[desk, place] = self.shelf[block]
                case Return(desk, place, block):
                    self.shelf[block] = self.rows[desk, place]
                case Shift(desk, to, places):
                    self.rows[to, :places] = self.rows[desk, :places]

    def begin(self, ids: Sequence[int]) -> Tokens:
        sequence, copies = self.blocks.begin(ids)
        self.copy(copies)
        return sequence

    def copy(self, copies: list[tuple[int, int]]) -> None:
        for source, target in copies:
            self.make(self.desks.returned([source]))
            self.shelf[target] = self.shelf[source]
            self.desks.changed([target])

    def read(self, sequence: Tokens, ids: Sequence[int]) -> None:
        self.copy(self.blocks.extend(sequence, len(ids)))
        desk, moves = self.desks.seat(sequence.blocks, len(sequence))
        self.make(moves)
        self.put(desk, sequence, ids)

    def put(self, desk: int, sequence: Tokens, ids: Sequence[int]) -> None:
        past, end = len(sequence), len(sequence) + len(ids)
        row = self.rows[desk].reshape(-1)
        assert row[:past].tolist() == sequence.ids, "what was read before lies at the desk"
        row[past:end] = ids
        self.desks.wrote(desk, sequence.blocks, past, end)
        self.blocks.wrote(sequence, ids)

    def together(self, sequences: Sequence[Tokens], chance: random.Random) -> None:
        """One token more of each, at neighbouring desks."""
        for sequence in sequences:
            self.copy(self.blocks.extend(sequence, 1))
        seats: list[int] = []
        for sequence in sequences:
            desk, moves = self.desks.seat(sequence.blocks, len(sequence), seats)
            self.make(moves)
            seats.append(desk)
        seats, moves = self.desks.together(seats)
        self.make(moves)
        assert sorted(seats) == list(range(min(seats), min(seats) + len(seats)))
        for desk, sequence in zip(seats, sequences, strict=True):
            self.put(desk, sequence, [chance.randrange(9)])

    def lose(self) -> None:
        gone = self.blocks.given_back()
        self.desks.changed(gone)
        self.shelf[gone] = LOST

    def dump(self, sequence: Tokens) -> list[int]:
        self.make(self.desks.returned(sequence.blocks))
        found: list[int] = self.shelf[sequence.blocks].reshape(-1)[: len(sequence)].tolist()
        return found


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), desks=st.integers(1, 6))
def test_who_is_seated_finds_all_that_he_read(seed: int, desks: int) -> None:
    chance = random.Random(seed)
    office, open_ = Office(400, desks), list[Tokens]()
    beginnings = [[chance.randrange(9) for _ in range(90)] for _ in range(2)]
    for _ in range(60):
        deed = chance.choice(("begin", "begin", "read", "together", "fork", "end", "dump", "lose"))
        if deed == "begin" and len(open_) < 8:
            ids = chance.choice(beginnings)[: chance.randrange(1, 90)]
            ids = ids + [chance.randrange(9) for _ in range(chance.randrange(1, 50))]
            sequence = office.begin(ids)
            office.read(sequence, ids[len(sequence) :])
            open_.append(sequence)
        elif deed == "lose":
            office.lose()
        elif open_ and deed != "begin":
            do(office, deed, open_, chance)
        if chance.random() < 0.05:
            office.make(office.desks.all_returned())
            office.rows[:] = LOST
    for sequence in open_:
        assert office.dump(sequence) == sequence.ids


def do(office: Office, deed: str, open_: list[Tokens], chance: random.Random) -> None:
    sequence = chance.choice(open_)
    if deed == "read":
        office.read(sequence, [chance.randrange(9) for _ in range(40)])
    elif deed == "together":
        most = min(len(office.desks), len(open_))
        office.together(chance.sample(open_, chance.randint(1, most)), chance)
    elif deed == "fork" and len(open_) < 8:
        open_.append(office.blocks.fork(sequence))
    elif deed == "end":
        office.blocks.end(sequence)
        open_.remove(sequence)
    elif deed == "dump":
        assert office.dump(sequence) == sequence.ids


def test_a_text_that_goes_on_is_never_moved() -> None:
    office, chance = Office(64, 4), random.Random(1)
    sequences = [office.begin([number] * 50) for number in range(3)]
    for number, sequence in enumerate(sequences):
        office.read(sequence, [number] * 50)
    office.moves.clear()
    for _ in range(3 * BLOCK):
        office.together(sequences, chance)
    assert office.moves == [], "not one block in all that was written"


def test_of_options_after_one_beginning_only_their_own_blocks_are_moved() -> None:
    office = Office(64, 4)
    sequence = office.begin([1] * 300)
    office.read(sequence, [1] * 300)
    forks = [office.blocks.fork(sequence) for _ in range(8)]
    office.moves.clear()
    for number, fork in enumerate(forks):
        office.read(fork, [number] * 6)
    assert len(office.moves) <= 3 * len(forks)


@pytest.mark.parametrize("gone", [0, 1])
def test_a_hole_among_texts_is_closed_once(gone: int) -> None:
    office, chance = Office(64, 4), random.Random(1)
    sequences = [office.begin([number] * 40) for number in range(3)]
    for number, sequence in enumerate(sequences):
        office.read(sequence, [number] * 40)
    office.together(sequences, chance)
    left = [sequence for number, sequence in enumerate(sequences) if number != gone]
    office.blocks.end(sequences[gone])
    office.moves.clear()
    for _ in range(5):
        office.together(left, chance)
    shifts = [move for move in office.moves if isinstance(move, Shift)]
    assert len(shifts) == gone, "a hole in the middle is filled by one, and one at the edge is none"


def test_what_was_lost_is_at_no_desk() -> None:
    office = Office(16, 2)
    sequence = office.begin([5] * (2 * BLOCK))
    office.read(sequence, [5] * (2 * BLOCK))
    blocks = list(sequence.blocks)
    assert office.desks.filled(0) == 2 * BLOCK
    office.desks.changed(blocks)
    assert office.desks.filled(0) == 0
    assert blocks_for(office.desks.filled(1)) == 0
