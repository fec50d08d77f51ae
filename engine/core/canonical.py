"""Canonical bytes: one value, one encoding, so that a signature or a hash means one thing.

The form is JSON with sorted ASCII keys, no white space, integers only (no floats: two machines
print them differently), text as UTF-8 and bytes as base64url without padding. Values are built
from `dict`, `list`/`tuple`, `str`, `int`, `bool` and `None`.
"""

import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

import orjson

from pockethive.core.errors import BadEncoding

MAX_DEPTH = 16
_INTEGER_BOUND = 2**53  # every JSON reader keeps integers below this exact
_PLAIN = frozenset((str, bool, type(None)))  # nothing about these needs a look
_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


def encode(value: object) -> bytes:
    """Return the canonical bytes of `value`.

    Raises:
        BadEncoding: a float, a foreign type, a non-ASCII key, too deep, or an integer over 2^53.
    """
    _check((value,), 0)
    try:
        made = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:  # lone surrogates in text
        raise BadEncoding(f"text that is not Unicode: {error}") from error
    return bytes(memoryview(made))  # a copy of its own size; what `dumps` gives holds 4 KB


def same(one: object, other: object) -> bool:
    """Whether two values have one encoding: to `==`, `True` is 1. False where one has none."""
    try:
        return encode(one) == encode(other)
    except BadEncoding:
        return False


def decode(data: bytes, limit: int) -> Any:
    """Return the value behind canonical bytes, refusing every other spelling of it.

    Raises:
        BadEncoding: over `limit` bytes, not JSON, or not the canonical form.
    """
    if len(data) > limit:
        raise BadEncoding(f"{len(data)} bytes, at most {limit} are allowed")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadEncoding(f"not JSON: {error}") from error
    if encode(value) != data:
        raise BadEncoding("not canonical: keys unsorted, white space or another spelling")
    return value


def decode_object(data: bytes, limit: int) -> dict[str, Any]:
    """`decode`, for values that must be objects."""
    value = decode(data, limit)
    if not isinstance(value, dict):
        raise BadEncoding(f"expected an object, found {type(value).__name__}")
    return cast("dict[str, Any]", value)


def to_text(data: bytes) -> str:
    """Base64url without padding."""
    encoded = binascii.b2a_base64(data, newline=False)
    return encoded.translate(_TO_URL).rstrip(b"=").decode("ascii")


def from_text(text: str, size: int | None = None) -> bytes:
    """The bytes behind `to_text`; `size` bytes where given.

    Raises:
        BadEncoding: not base64url, padded, of another length, or with stray bits at the end.
    """
    data = from_any_text(text)
    if to_text(data) != text:
        raise BadEncoding(f"not canonical base64url: {text[:80]!r}")
    if size is not None and len(data) != size:
        raise BadEncoding(f"expected {size} bytes of base64url, found {len(data)}")
    return data


def from_any_text(text: str) -> bytes:
    """The same without a look at the spelling, for a caller who spells the whole and compares.

    Raises:
        BadEncoding: not base64url.
    """
    try:
        encoded = text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4)
        return binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise BadEncoding(f"not base64url: {text[:80]!r}") from error


def digest(domain: str, *parts: bytes) -> bytes:
    """SHA-256 over a domain tag and length-prefixed parts: no two lists of parts collide."""
    return hashlib.sha256(_message(domain, parts)).digest()


def digest_after(domain: str, *parts: bytes) -> Callable[[bytes], bytes]:
    """`digest(domain, *parts, last)` as a function of the last part: what is common is hashed once.

    For one task and hundreds of devices it takes a quarter of the time.
    """
    begun = hashlib.sha256(_message(domain, parts))

    def ended(last: bytes) -> bytes:
        made = begun.copy()
        made.update(len(last).to_bytes(8, "big") + last)
        return made.digest()

    return ended


def _message(domain: str, parts: Iterable[bytes]) -> bytes:
    message = [_tag(domain)]
    for part in parts:
        message += len(part).to_bytes(8, "big"), part
    return b"".join(message)


@lru_cache(maxsize=128)  # this program's own words, a few dozen
def _tag(domain: str) -> bytes:
    return b"pockethive/1 %s\n" % domain.encode("ascii")


def _check(items: Iterable[object], depth: int) -> None:
    """Refuse what has no canonical form among `items`, which stand at `depth`, and inside them.

    One call per container, and the common types first: this runs for every form that is read or
    written.
    """
    for item in items:
        if depth > MAX_DEPTH:
            raise BadEncoding(f"nested deeper than {MAX_DEPTH}")
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind is int:
            if not -_INTEGER_BOUND <= item <= _INTEGER_BOUND:  # type: ignore[operator]  # see before
                raise BadEncoding(f"integer over 2^53: {item}")
        elif kind is dict:
            _check_keys(item)  # type: ignore[arg-type]  # see the line before
            _check(item.values(), depth + 1)  # type: ignore[attr-defined]
        elif kind is list or kind is tuple:
            _check(item, depth + 1)  # type: ignore[arg-type]
        else:
            _check_other(item, depth)


def _check_other(item: object, depth: int) -> None:
    """Integers, what is derived from the common types, and what has no canonical form."""
    if isinstance(item, str):
        return
    if isinstance(item, int):
        if not -_INTEGER_BOUND <= item <= _INTEGER_BOUND:
            raise BadEncoding(f"integer over 2^53: {item}")
    elif isinstance(item, (list, tuple)):
        _check(item, depth + 1)
    elif isinstance(item, (dict, Mapping)):
        _check_keys(item)
        _check(item.values(), depth + 1)
    else:
        raise BadEncoding(f"{type(item).__name__} has no canonical form")


def _check_keys(keys: Iterable[object]) -> None:
    try:
        ascii_text = "".join(keys).isascii()  # type: ignore[arg-type]  # see below
    except TypeError:  # a key that is no text
        ascii_text = False
    if not ascii_text:
        raise BadEncoding("a key is not ASCII text")
