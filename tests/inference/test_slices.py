"""What one pass reads: every token once, in few sizes."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pockethive.inference.blocks import BLOCK, blocks_for
from pockethive.inference.slices import (
    MOST,
    Slice,
    accompanied,
    filling,
    padded,
    padded_rows,
    passes,
)


def piece(number: int, count: int, past: int) -> Slice:
    """A sequence of its own tokens; numbers are wanted after every third of them."""
    rows = range(number % 3, count, 3)
    return Slice(
        ids=[1000 * number + place for place in range(count)],
        past=past,
        blocks=list(range(100 * number, 100 * number + blocks_for(past + count))),
        rows=rows,
        targets=[1000 * number + row for row in rows],
    )


PIECES = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 100)), min_size=1, max_size=12)


@given(PIECES, st.booleans())
def test_every_token_is_read_once_after_those_before_it(
    lengths: Sequence[tuple[int, int]], roomy: bool
) -> None:
    given_ = [piece(number, count, past) for number, (count, past) in enumerate(lengths)]
    parts = passes(given_, roomy)
    read: dict[int, list[int]] = {}
    wanted: list[int] = []
    for part in parts:
        for each in part:
            number = each.ids[0] // 1000
            assert each.past == given_[number].past + len(read.get(number, []))
            assert list(each.blocks) == list(
                given_[number].blocks[: blocks_for(each.past + len(each.ids))]
            )
            read.setdefault(number, []).extend(each.ids)
            assert [each.ids[row] for row in each.rows] == list(each.targets)
            wanted += each.targets
    assert [token for number in sorted(read) for token in read[number]] == [
        token for each in given_ for token in each.ids
    ]
    assert wanted == [target for each in given_ for target in each.targets]
    sizes = [sum(len(each.ids) for each in part) for part in parts]
    assert all(padded(size, roomy) <= MOST for size in sizes)


def test_without_room_no_pass_has_a_size_that_needs_a_second_copy_of_the_weights() -> None:
    sizes = {
        padded(sum(len(each.ids) for each in part), roomy=False)
        for count in range(1, 1200)
        for part in passes([piece(0, count, 0)], roomy=False)
    }
    assert not sizes & set(range(7, 81))
    assert len(sizes) < 20, "each size costs memory for as long as the model is loaded"


def test_there_are_few_sizes_and_little_is_read_in_vain() -> None:
    assert len({padded(count, roomy=True) for count in range(1, MOST + 1)}) < 30
    assert len({padded_rows(count) for count in range(1, MOST + 1)}) < 20
    for count in range(88, MOST + 1):
        assert padded(count, roomy=False) <= count * 9 / 8


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 100), st.booleans()), max_size=120))
def test_what_is_read_is_never_one_token_alone_and_what_is_wanted_stays(
    sizes: list[tuple[int, int, bool]],
) -> None:
    part = [
        replace(piece(number, count, past), word=word and count == 1)
        for number, (count, past, word) in enumerate(sizes)
    ]
    for given_part in passes(part, roomy=True):
        made = accompanied(given_part, spare=9_999)
        assert all(sum(len(each.ids) for each in one) <= MOST for one in made)
        flat = [each for one in made for each in one]
        for before, after in zip(given_part, flat, strict=True):
            assert after.ids[: len(before.ids)] == before.ids
            assert (after.past, after.rows, after.targets) == (
                before.past,
                before.rows,
                before.targets,
            )
            assert len(after.ids) > 1 or after.word
            assert len(after.blocks) * BLOCK >= after.past + len(after.ids)
            assert list(after.blocks)[: len(before.blocks)] == list(before.blocks)


def test_what_fills_a_pass_lies_in_one_block_and_nobody_wants_it() -> None:
    fill = list(filling(BLOCK + 3, block=7))
    assert [len(each.ids) for each in fill] == [BLOCK, 3]
    assert all((each.past, list(each.blocks), list(each.rows)) == (0, [7], []) for each in fill)
