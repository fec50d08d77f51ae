"""How four bits are packed: codes, whole zero points, and what these leave of a block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.inference.export.onnx_four_script import _blocks, _coded, _pairs


def drawn(seed: int, rows: int = 7, blocks: int = 3) -> np.ndarray:
    chance = np.random.default_rng(seed)
    middle = chance.normal(size=(rows, blocks, 1))
    return (middle + chance.normal(size=(rows, blocks, 32))).astype(np.float32)


@given(seed=st.integers(0, 1000))
def test_a_value_is_at_most_half_a_step_away(seed: int) -> None:
    parts = drawn(seed)
    codes, steps, zeros, left = _coded(parts)
    again = steps[..., None] * (codes.astype(np.float32) - zeros[..., None]) + left[..., None]
    assert (np.abs(again - parts) <= (0.5 + 1e-4) * steps[..., None]).all()
    assert codes.max() <= 15
    assert zeros.max() <= 15


@given(seed=st.integers(0, 1000))
def test_values_that_were_four_bits_by_blocks_are_those_again(seed: int) -> None:
    chance = np.random.default_rng(seed)
    was = chance.integers(0, 16, (5, 2, 32))
    was[..., 0], was[..., 1] = 0, 15
    parts = (was * np.float32(0.01) + chance.normal(size=(5, 2, 1))).astype(np.float32)
    assert (_coded(parts)[0] == was).all()


def test_what_is_left_is_less_where_a_block_has_both_signs() -> None:
    parts = drawn(1) - drawn(1).mean(axis=2, keepdims=True)
    _, steps, _, left = _coded(parts)
    assert (np.abs(left) <= (0.5 + 1e-4) * steps).all()


@pytest.mark.parametrize("value", [0.0, 0.25, -3.0])
def test_a_block_of_one_value_keeps_it(value: float) -> None:
    codes, steps, zeros, left = _coded(np.full((1, 1, 32), value, np.float32))
    assert (steps * (codes[..., 0] - zeros) + left).tolist() == [[value]]


def test_an_odd_row_is_filled_with_zeros() -> None:
    assert _pairs(np.array([[1, 2, 3]], np.uint8)).tolist() == [[0x21, 0x03]]
    blocks = _blocks(np.ones((40, 2), np.float32))
    assert blocks.shape == (2, 2, 32)
    assert blocks.sum() == 80
