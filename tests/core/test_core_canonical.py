"""Canonical bytes: the fast check is the plain rule, and base64url has one spelling."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pockethive.core.canonical import MAX_DEPTH, decode, encode, from_text, to_text
from pockethive.core.entry import Kind
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import clip


def plainly_canonical(value: object, depth: int = 0) -> bool:
    """The rule in the plainest words, to hold the fast check against."""
    if depth > MAX_DEPTH:
        return False
    if value is None or isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return abs(value) <= 2**53
    if isinstance(value, dict):
        keys = all(isinstance(key, str) and key.isascii() for key in value)
        return keys and all(plainly_canonical(item, depth + 1) for item in value.values())
    if isinstance(value, list | tuple):
        return all(plainly_canonical(item, depth + 1) for item in value)
    return False


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from((0, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 1.5, b"bytes", Kind.TASK)),
    st.text(alphabet="a\u00e9", max_size=2),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(st.text("a\u00e9", max_size=2), st.just(7)), inner, max_size=3),
    ),
)


@given(VALUES, st.integers(0, MAX_DEPTH + 2))
def test_what_has_a_canonical_form_is_what_the_rule_says(value: Any, wrapped: int) -> None:
    for level in range(wrapped):
        value = [value] if level % 2 else {"k": value}
    if plainly_canonical(value):
        assert encode(decode(encode(value), 10_000)) == encode(value)
    else:
        with pytest.raises(BadEncoding):
            encode(value)


@given(st.binary(max_size=80), st.text("abAB09-_=+/ \u00e9", max_size=6))
def test_base64url_has_one_spelling(data: bytes, text: str) -> None:
    assert to_text(data) == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert from_text(to_text(data), len(data)) == data
    spelled = {to_text(bytes(size)) for size in range(4)} | {text}
    for each in spelled:
        try:
            read = from_text(each)
        except BadEncoding:
            assert each == text
        else:
            assert to_text(read) == each


def test_clipping_never_cuts_a_character() -> None:
    assert clip("ä" * 200) == "ä" * 100
    assert clip("short") == "short"
