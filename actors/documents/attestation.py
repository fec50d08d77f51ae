"""Proof that a quotation stood in a document as its device indexed it.

At indexing a device signs, for every document, a statement of its name, its number of passages and
the Merkle root over them. Rule guarded here: whoever holds a quotation, its passage, the path and
the statement can check all of it without the document, and learns nothing else about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pockethive.actors.documents.passages import Passage
from pockethive.core import merkle
from pockethive.core.canonical import digest, encode, from_text, to_text
from pockethive.core.errors import BadEncoding
from pockethive.core.ports import VerifySignature

VERSION = 1
MAX_QUOTE = 1_200  # characters
MAX_PASSAGE = 4_000
MAX_NAME = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Where a passage stands under its document's signed root."""

    salt: bytes
    path: tuple[bytes, ...]
    root: bytes
    size: int
    signature: bytes


def passage_leaf(salt: bytes, passage: Passage) -> bytes:
    """The leaf hash of a passage: place, headings and text are all vouched for."""
    return merkle.leaf(salt, encode(passage_object(passage)))


def passage_object(passage: Passage) -> dict[str, Any]:
    """A passage as it travels."""
    return {
        "heading": passage.heading,
        "index": passage.index,
        "text": passage.text,
        "title": passage.title,
    }


def statement(device: str, source: str, size: int, root: bytes) -> bytes:
    """The bytes a device signs for one document."""
    body = {"device": device, "root": to_text(root), "size": size, "source": source, "v": VERSION}
    return digest("indexed document", encode(body))


def quotation(source: str, device: str, passage: Passage, proof: Proof) -> dict[str, Any]:
    """The provable part of a finding; the quotation itself is added by the researcher."""
    return {
        "device": device,
        "passage": passage_object(passage),
        "path": [to_text(item) for item in proof.path],
        "root": to_text(proof.root),
        "root_signature": to_text(proof.signature),
        "salt": to_text(proof.salt),
        "size": proof.size,
        "source": source,
        "v": VERSION,
    }


def fault(finding: Mapping[str, Any], device: str, verify: VerifySignature) -> str | None:
    """What is wrong with a finding that `device` claims to have quoted, or None.

    Checks form and bounds, the exact span, the inclusion path and the signature over the root.
    """
    if problem := _misshapen(finding):
        return problem
    if finding["device"] != device:
        return "names another device than its worker"
    passage = Passage(**finding["passage"])
    start, quote = finding["start"], finding["quote"]
    if not quote or passage.text[start : start + len(quote)] != quote:
        return "the quotation does not stand in its passage"
    try:
        salt = from_text(finding["salt"], merkle.SALT_SIZE)
        siblings = [from_text(item, merkle.HASH_SIZE) for item in finding["path"]]
        root = from_text(finding["root"], merkle.HASH_SIZE)
        signature = from_text(finding["root_signature"], 64)
        key = from_text(device, 32)
    except BadEncoding as error:
        return f"broken proof: {error}"
    size = finding["size"]
    implied = merkle.implied_root(passage_leaf(salt, passage), passage.index, size, siblings)
    if implied != root:
        return "the passage is not under the document's root"
    if not verify(key, statement(device, finding["source"], size, root), signature):
        return "the document's root is not signed by its device"
    return None


_FIELDS: Mapping[str, type] = {
    "device": str,
    "passage": dict,
    "path": list,
    "quote": str,
    "root": str,
    "root_signature": str,
    "salt": str,
    "score": int,
    "size": int,
    "source": str,
    "start": int,
    "v": int,
}
_PASSAGE_FIELDS: Mapping[str, type] = {"heading": str, "index": int, "text": str, "title": str}


def _misshapen(finding: Mapping[str, Any]) -> str | None:
    if not _has_fields(finding, _FIELDS) or not _has_fields(finding["passage"], _PASSAGE_FIELDS):
        return "not a finding: fields are missing, unknown or of another type"
    if finding["v"] != VERSION:
        return f"version {finding['v']} is not known here"
    passage, path = finding["passage"], finding["path"]
    texts: Sequence[tuple[str, int]] = (
        (finding["quote"], MAX_QUOTE),
        (finding["source"], MAX_NAME),
        (passage["text"], MAX_PASSAGE),
        (passage["title"], MAX_NAME),
        (passage["heading"], MAX_NAME),
    )
    if any(len(text) > limit for text, limit in texts) or len(path) > merkle.MAX_PATH:
        return "larger than a finding may be"
    if finding["start"] < 0 or not all(isinstance(item, str) for item in path):
        return "not a finding: a place or a path that cannot be"
    return None


def _has_fields(value: object, fields: Mapping[str, type]) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == set(fields)
        and all(type(value[name]) is kind for name, kind in fields.items())
    )
