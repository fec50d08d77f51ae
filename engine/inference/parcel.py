"""A bundle on its way between devices: its card, the names of its files as blobs, and what is said.

    parcel: {"v":1,"card":…,"blobs":{file: blob},"words":{file: …}}    canonical, bytes as base64url
    notice: {"v":1,"name":…,"quantization":…,"licence":…,"size":…,"parameters":…,"card":…,
             "parcel":…}

Guards: both come from other devices, are versioned and bounded, and are believed only as far as the
hashes in them go; figures that were measured elsewhere are shown as somebody else's word, for as
long as nobody measured here.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pockethive.core.canonical import decode_object, encode, from_text, to_text
from pockethive.core.errors import BadEncoding
from pockethive.inference.bundle import MODEL_FILES, MOST_CARD_BYTES, ONNX_FILES, Bundle

MAX_PARCEL: Final = 2**19
MAX_NOTICE: Final = 1_000
MAX_WORD: Final = 256 << 10
WORDS: Final = ("quality.json", "accuracy.json")
ORIGIN: Final = "origin.json"
_VERSION: Final = 1
_FILES: Final = (set(MODEL_FILES), set(ONNX_FILES))
_MOST_ORIGIN: Final = 2_000
_MOST_LINE: Final = 80
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """`card`: card.json, byte by byte. `blobs`: by file. `words`: what the sharer measured."""

    card: bytes
    blobs: Mapping[str, str]
    words: Mapping[str, bytes]

    def encode(self) -> bytes:
        """As it is kept and fetched."""
        words = {name: to_text(data) for name, data in self.words.items()}
        body = {"card": to_text(self.card), "blobs": dict(self.blobs), "words": words}
        return encode({"v": _VERSION, **body})

    @classmethod
    def decode(cls, data: bytes) -> "Parcel":
        """Raises BadEncoding: malformed, of another version, or over a bound."""
        value = _object(data, MAX_PARCEL, {"v", "card", "blobs", "words"})
        blobs, words = value["blobs"], value["words"]
        if not isinstance(blobs, dict) or blobs.keys() not in _FILES:
            raise BadEncoding(f"a parcel names {', '.join(MODEL_FILES)}, or ONNX Runtime's")
        if not isinstance(words, dict) or not words.keys() <= set(WORDS):
            raise BadEncoding("a parcel with words that nobody knows")
        return cls(
            card=_bytes(value["card"], MOST_CARD_BYTES),
            blobs={name: _hash(blob) for name, blob in blobs.items()},
            words={name: _bytes(word, MAX_WORD) for name, word in words.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a device tells its hive of a bundle that it shares. Sizes in bytes."""

    name: str
    quantization: str
    licence: str
    size: int
    parameters: int
    card: str
    parcel: str

    def encode(self) -> bytes:
        """As it stands in a note."""
        return encode({"v": _VERSION, **asdict(self)})

    @classmethod
    def decode(cls, data: bytes) -> "Notice":
        """Raises BadEncoding: malformed, of another version, or over a bound."""
        value = _object(data, MAX_NOTICE, {"v", *cls.__slots__})
        for name in ("name", "quantization", "licence"):
            text = value[name]
            if not isinstance(text, str) or not text.isprintable() or len(text) > _MOST_LINE:
                raise BadEncoding(f"a notice whose {name} is no line of text")
        for name in ("size", "parameters"):
            if type(value[name]) is not int or value[name] < 0:
                raise BadEncoding(f"a notice whose {name} is no number")
        _hash(value["card"]), _hash(value["parcel"])
        return cls(**{name: value[name] for name in cls.__slots__})


def notice_of(bundle: Bundle, parcel: str) -> Notice:
    """What is told of a bundle whose parcel is the blob `parcel`."""
    card = bundle.card
    return Notice(
        name=card.name[:_MOST_LINE],
        quantization=card.quantization[:_MOST_LINE],
        licence=card.licence[:_MOST_LINE],
        size=bundle.size,
        parameters=card.parameters,
        card=card.sha256,
        parcel=parcel,
    )


def words_beside(folder: Path) -> dict[str, bytes]:
    """What was measured of the bundle in a folder, as far as it is within bounds."""
    found = {}
    for name in WORDS:
        try:
            with (folder / name).open("rb") as stream:
                data = stream.read(MAX_WORD + 1)
        except OSError:
            continue  # not measured
        if len(data) <= MAX_WORD:
            found[name] = data
    return found


def origin(device: str, words: Mapping[str, bytes]) -> bytes:
    """What is kept of who said `words`: a device's key, or nothing if it is not known."""
    said = {name: hashlib.sha256(data).hexdigest() for name, data in words.items()}
    return encode({"v": _VERSION, "device": device, "words": said})


def told_by(folder: Path, name: str) -> str | None:
    """Whose word a file of figures is: a device's key, empty if unknown; None: measured here."""
    try:
        with (folder / ORIGIN).open("rb") as stream:
            raw = stream.read(_MOST_ORIGIN + 1)
        value = orjson.loads(raw[:_MOST_ORIGIN])
        said = value["words"].get(name)
        here = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        return str(value["device"]) if said == here else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _object(data: bytes, limit: int, fields: set[str]) -> dict[str, Any]:
    value = decode_object(data, limit)
    if value.keys() != fields or value["v"] is True or value["v"] != _VERSION:
        raise BadEncoding(f"not one of version {_VERSION}")
    return value


def _bytes(text: object, most: int) -> bytes:
    if not isinstance(text, str):
        raise BadEncoding("bytes are text in base64url")
    data = from_text(text)
    if len(data) > most:
        raise BadEncoding(f"{len(data)} bytes, at most {most} are read")
    return data


def _hash(text: object) -> str:
    if not isinstance(text, str) or _HASH.fullmatch(text) is None:
        raise BadEncoding("a hash has 64 hex digits")
    return text
