"""GGUF files for tests, written as the specification says."""

import struct
from collections.abc import Mapping
from typing import Any

F32, Q8_0 = 0, 8
PLAIN: Mapping[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "llama.block_count": 1,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.ggml.scores": [0.5, 0.25, 0.125],
}
TENSORS = (("token_embd.weight", (32, 3), Q8_0), ("output_norm.weight", (32,), F32))
_SIZES = {F32: (1, 4), Q8_0: (32, 34)}


def gguf_bytes(
    facts: Mapping[str, Any] = PLAIN,
    tensors: tuple[tuple[str, tuple[int, ...], int], ...] = TENSORS,
    version: int = 3,
) -> bytes:
    """A whole file with weights of zeros."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(facts))
    head += b"".join(_text(key) + _value(value) for key, value in facts.items())
    weights = b""
    for name, shape, kind in tensors:
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, len(weights))
        count = 1
        for extent in shape:
            count *= extent
        block, size = _SIZES[kind]
        weights += _padded(bytes(count // block * size))
    return _padded(head) + weights


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list):
        kind, *_ = {_kind(item) for item in value}
        packed = b"".join(_value(item)[4:] for item in value)
        return struct.pack("<IIQ", 9, kind, len(value)) + packed
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<II", 4, value)


def _kind(item: Any) -> int:
    return struct.unpack("<I", _value(item)[:4])[0]  # type: ignore[no-any-return]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)
