"""The header of a GGUF file: what the model in it is, and whether all of its weights are there.

    "GGUF" | version 4 | tensors 8 | facts 8 | facts (key, kind, value) | tensors (name, extents,
    kind, offset) | padding | weights          (the format's specification, versions 2 and 3)

Guards: the file is a stranger's. At most `MAX_HEADER` bytes of it are read, every count is bounded
before anything is made of it, and a file that is cut short, or that nothing here could run, is
refused before the environment that would load it is even made.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import yaml

from pockethive.core.errors import RefusedModel

MAX_HEADER: Final = 64 * 2**20  # bytes; the vocabulary is most of it
MAX_FACTS: Final = 4_096
MAX_TENSORS: Final = 65_536
MAX_ITEMS: Final = 2**22  # of one list
MAX_TEXT: Final = 2**20  # bytes
MAX_NAME: Final = 200  # letters of what people are shown
_MAX_EXTENTS: Final = 4
_MAX_DEPTH: Final = 2  # lists of lists
_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_TEXT: Final = 8
_LIST: Final = 9
_FORMATS: Final = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_WANTED: Final = {
    "general.architecture": str,
    "general.name": str,
    "general.license": str,
    "general.alignment": int,
    "split.count": int,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gguf:
    """What a header says. `licence` is empty when it says nothing of it."""

    architecture: str
    name: str
    licence: str
    parameters: int


def read_gguf(path: Path) -> Gguf:
    """The header of a file that is whole and can be made a bundle of. Raises RefusedModel."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return parse_gguf(stream, size)
    except OSError as error:
        raise RefusedModel(f"cannot be read: {error.strerror}", where=str(path)) from error
    except RefusedModel as error:
        raise RefusedModel(error.what, where=str(path), cure=error.cure) from error


def parse_gguf(stream: BinaryIO, size: int) -> Gguf:
    """The header of a file of `size` bytes, read from its beginning. Raises RefusedModel."""
    reader = _Reader(stream, size)
    if reader.take(4) != _MAGIC:
        _refuse("not a GGUF file")
    version = reader.number("I")
    if version not in _VERSIONS:
        _refuse(f"a GGUF file of version {version}, or of a machine with another order of bytes")
    tensors, facts = reader.number("Q"), reader.number("Q")
    if not 0 < tensors <= MAX_TENSORS or facts > MAX_FACTS:
        _refuse(f"a header of {tensors} tensors and {facts} facts")
    told = _facts(reader, facts)
    architecture = str(told.get("general.architecture", ""))
    if architecture not in _known().architectures:
        _refuse(
            f"it holds a model of the kind {architecture[:40]!r}, which cannot be exported here",
            "these can: " + ", ".join(sorted(_known().architectures)),
        )
    if int(told.get("split.count", 0)) > 1:
        _refuse("it is one part of several", "join them first: gguf-split --merge")
    return Gguf(
        architecture=architecture,
        name=_shown(told.get("general.name", "")),
        licence=_shown(told.get("general.license", "")),
        parameters=_weigh(reader, tensors, int(told.get("general.alignment", 32))),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    architectures: frozenset[str]
    weights: Mapping[int, tuple[str, int, int]]


@dataclass(slots=True)
class _Reader:
    """Reads forward through a header, and no further than is allowed."""

    stream: BinaryIO
    size: int
    at: int = field(default=0)

    def take(self, count: int) -> bytes:
        self._step(count)
        data = self.stream.read(count)
        if len(data) != count:
            _refuse_short()
        return data

    def skip(self, count: int) -> None:
        self._step(count)
        self.stream.seek(count, 1)

    def number(self, form: str) -> int:
        [value] = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return int(value)

    def text(self, most: int = MAX_TEXT) -> str:
        length = self.number("Q")
        if length > most:
            _refuse(f"a text of {length} bytes in its header")
        return self.take(length).decode("utf-8", "replace")

    def _step(self, count: int) -> None:
        self.at += count
        if self.at > self.size:
            _refuse_short()
        if self.at > MAX_HEADER:
            _refuse(f"its header has more than {MAX_HEADER >> 20} MiB")


def _facts(reader: _Reader, count: int) -> dict[str, Any]:
    """The facts that are wanted; all others are passed over."""
    told: dict[str, Any] = {}
    seen: set[str] = set()
    for _ in range(count):
        key = reader.text(most=2**16)
        if key in seen:
            _refuse(f"{key[:60]!r} stands twice in its header")
        seen.add(key)
        kind, wanted = reader.number("I"), _WANTED.get(key)
        if wanted is None:
            _pass(reader, kind)
        elif wanted is str and kind == _TEXT:
            told[key] = reader.text()
        elif wanted is int and _FORMATS.get(kind, "") in tuple("BHIQ"):
            told[key] = reader.number(_FORMATS[kind])
        else:
            _refuse(f"{key!r} has a value of the kind {kind}")
    return told


def _pass(reader: _Reader, kind: int, depth: int = 0) -> None:
    """Step over one value."""
    if kind in _FORMATS:
        reader.skip(struct.calcsize("<" + _FORMATS[kind]))
    elif kind == _TEXT:
        _pass_texts(reader, 1)
    elif kind == _LIST and depth < _MAX_DEPTH:
        inner, count = reader.number("I"), reader.number("Q")
        if count > MAX_ITEMS:
            _refuse(f"a list of {count} items in its header")
        if inner in _FORMATS:
            reader.skip(count * struct.calcsize("<" + _FORMATS[inner]))
        elif inner == _TEXT:
            _pass_texts(reader, count)
        else:
            for _ in range(min(count, MAX_FACTS + 1)):
                _pass(reader, inner, depth + 1)
            if count > MAX_FACTS:
                _refuse(f"a list of {count} lists in its header")
    else:
        _refuse(f"a value of the kind {kind} in its header")


def _pass_texts(reader: _Reader, count: int) -> None:
    for _ in range(count):
        length = reader.number("Q")
        if length > MAX_TEXT:
            _refuse(f"a text of {length} bytes in its header")
        reader.skip(length)


def _weigh(reader: _Reader, tensors: int, alignment: int) -> int:
    """How many weights there are; all of them must lie within the file."""
    if not 0 < alignment <= 2**16 or alignment & (alignment - 1):
        _refuse(f"weights aligned to {alignment} bytes")
    total, end, places = 0, 0, []
    for _ in range(tensors):
        reader.text(most=2**16)
        extents = reader.number("I")
        if not 0 < extents <= _MAX_EXTENTS:
            _refuse(f"a tensor of {extents} extents")
        shape = [reader.number("Q") for _ in range(extents)]
        kind, offset = reader.number("I"), reader.number("Q")
        count = math.prod(shape)
        total += count
        length = _bytes_of(kind, shape[0], count)
        places.append((offset, offset + length))
        end = max(end, offset + length)
    places.sort()
    if any(left[1] > right[0] for left, right in pairwise(places)):
        _refuse("its tensors lie on top of each other")
    beginning = -(-reader.at // alignment) * alignment
    if beginning + end > reader.size:
        _refuse_short()
    return total


def _bytes_of(kind: int, row: int, count: int) -> int:
    """Bytes of `count` weights of a kind, in rows of `row`."""
    if kind not in _known().weights:
        _refuse(f"weights of the kind {kind}, which cannot be read here")
    name, block, size = _known().weights[kind]
    if count < 1 or row % block:
        _refuse(f"rows of {row} weights of the kind {name}, which has blocks of {block}")
    return count // block * size


def _shown(text: object) -> str:
    """What a stranger wrote, as one line that can be shown."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:MAX_NAME]


def _refuse(what: str, cure: str = "take another file") -> NoReturn:
    raise RefusedModel(what, cure=cure)


def _refuse_short() -> NoReturn:
    _refuse("the file is cut short", "copy or download it again")


@cache
def _known() -> _Known:
    raw = yaml.safe_load((files(__package__) / "gguf.yaml").read_text(encoding="utf-8"))
    weights = {kind: (name, block, size) for kind, (name, block, size) in raw["weights"].items()}
    return _Known(frozenset(raw["architectures"]), weights)
