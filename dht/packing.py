"""MessagePack for what messages hold most: lists, text, bytes and small numbers, without detours.

The library, in pure Python, takes a fifth of what a request and its answer cost. What it would
write for these types is written here, byte for byte; any other value is the library's, both ways.
Guards: what arrives is read within its bounds; the odd goes to the library, which refuses it.
"""

import struct
from typing import Any, Final

import umsgpack

_DEEPEST: Final = 4
_BIN16: Final = struct.Struct(">BH")


class _Odd(Exception):
    """Not a value of the plain kinds."""


def pack(value: object) -> bytes:
    """The MessagePack of a value. Raises what umsgpack raises for values it cannot pack."""
    parts: list[bytes] = []
    try:
        _write(value, parts, 0)
    except _Odd:
        return bytes(umsgpack.packb(value))
    return b"".join(parts)


def unpack(data: bytes) -> Any:
    """The first value in `data`; what follows is ignored. Raises what umsgpack raises."""
    try:
        return _read(data, 0, 0)[0]
    except (_Odd, IndexError, ValueError):
        return umsgpack.unpackb(data)


def _write(value: Any, parts: list[bytes], depth: int) -> None:
    kind = type(value)
    if kind is bytes:
        parts += _bytes(value)
    elif kind is int and 0 <= value < 128:
        parts.append(bytes((value,)))
    elif kind is str:
        parts += _text(value)
    elif kind is list and len(value) < 16 and depth < _DEEPEST:
        parts.append(bytes((0x90 | len(value),)))
        for item in value:
            _write(item, parts, depth + 1)
    else:
        raise _Odd


def _bytes(value: bytes) -> tuple[bytes, bytes]:
    size = len(value)
    if size < 256:
        return bytes((0xC4, size)), value
    if size < 65536:
        return _BIN16.pack(0xC5, size), value
    raise _Odd


def _text(value: str) -> tuple[bytes, bytes]:
    text = value.encode()
    if len(text) > 31:
        raise _Odd
    return bytes((0xA0 | len(text),)), text


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at a place, and where the next one begins."""
    kind = data[at]
    if kind < 0x80:
        return kind, at + 1
    if kind == 0xC4:
        begin = at + 2
        end = begin + data[at + 1]
    elif kind == 0xC5:
        begin = at + 3
        end = begin + (data[at + 1] << 8 | data[at + 2])
    elif 0xA0 <= kind < 0xC0:
        end = at + 1 + (kind & 31)
        if end > len(data):
            raise _Odd
        return data[at + 1 : end].decode(), end
    elif 0x90 <= kind < 0xA0 and depth < _DEEPEST:
        items: list[Any] = []
        at += 1
        for _ in range(kind & 15):
            item, at = _read(data, at, depth + 1)
            items.append(item)
        return items, at
    else:
        raise _Odd
    if end > len(data):
        raise _Odd
    return data[begin:end], end
