"""Merkle trees: every leaf proves itself, nothing else proves anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core import merkle


def tree(size: int) -> list[bytes]:
    return [merkle.leaf(bytes([i % 256]) * 16, f"passage {i}".encode()) for i in range(size)]


@given(st.integers(1, 70), st.data())
def test_every_path_leads_to_the_root(size: int, data: st.DataObject) -> None:
    leaves = tree(size)
    index = data.draw(st.integers(0, size - 1))
    siblings = merkle.path(leaves, index)
    assert merkle.implied_root(leaves[index], index, size, siblings) == merkle.root(leaves)


@given(st.integers(2, 40), st.data())
def test_another_leaf_place_or_size_leads_elsewhere(size: int, data: st.DataObject) -> None:
    leaves = tree(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
    siblings = merkle.path(leaves, index)
    root = merkle.root(leaves)
    assert merkle.implied_root(leaves[other], index, size, siblings) != root
    assert merkle.implied_root(leaves[index], other, size, siblings) != root
    assert merkle.implied_root(leaves[index], index, size, (*siblings, siblings[0])) is None
    assert merkle.implied_root(leaves[index], index, size, siblings[:-1]) is None


def test_a_node_cannot_pass_for_a_leaf() -> None:
    leaves = tree(4)
    two = merkle.root(leaves[:2])
    right = merkle.root(leaves[2:])
    assert merkle.root([two, right]) == merkle.root(leaves)  # as a tree of two hashes
    data = b"".join(leaves[:2])
    assert merkle.leaf(b"", data) != two


@pytest.mark.parametrize("index", [-1, 3])
def test_a_place_outside_the_tree_is_refused(index: int) -> None:
    leaves = tree(3)
    with pytest.raises(IndexError):
        merkle.path(leaves, index)
    assert merkle.implied_root(leaves[0], index, 3, merkle.path(leaves, 0)) is None


def test_an_endless_path_is_refused_unhashed() -> None:
    assert merkle.implied_root(b"x" * 32, 0, 2**40, [b"y" * 32] * 40) is None


def test_salts_hide_equal_texts() -> None:
    assert merkle.leaf(b"a" * 16, b"same") != merkle.leaf(b"b" * 16, b"same")
