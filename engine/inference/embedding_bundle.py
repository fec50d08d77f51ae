"""A bundle of kind `embedding`: an encoder that turns texts into points, with its card.

    <home>/embeddings/NAME-int8/   openvino_model.xml, openvino_model.bin, tokenizer.json, card.json

It lies apart from the models that write, which may be chosen for a team. Guards: as `bundle.py`, a
bundle is used only if its files are those that its card names, and the card holds no date and no
path.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from pockethive.core.errors import RefusedModel
from pockethive.inference.bundle import CARD, MODEL_FILES, MOST_CARD_BYTES, slug
from pockethive.inference.bundle_files import (
    FileEntry,
    card_body,
    card_hash,
    damage,
    entries,
    place,
)

FOLDER: Final = "embeddings"
_FORMAT: Final = 1
_MOST_WIDTH: Final = 4096
_MOST_TOKENS: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCard:
    """What it says of itself. `width`: figures of a row; `longest`: tokens that are read of a text.

    `likeness`: the least cosine between rows of the export and of its source, over the shipped
    text's sentences. `sha256` covers every other field.
    """

    name: str
    quantization: str
    source: str
    revision: str
    licence: str
    parameters: int
    width: int
    longest: int
    likeness: float
    files: Mapping[str, FileEntry]
    kind: Literal["embedding"] = "embedding"
    format: int = _FORMAT
    sha256: str = ""

    def sealed(self) -> "EmbeddingCard":
        """The same card with its hash."""
        return replace(self, sha256=card_hash(asdict(self)))


@dataclass(frozen=True, slots=True)
class EmbeddingBundle:
    """A folder whose files were checked against its card."""

    folder: Path
    card: EmbeddingCard

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(entry.size for entry in self.card.files.values())


def embedding_folder(home: Path, name: str, quantization: str = "int8") -> Path:
    """Where the bundle of an embedding model lives under `home`."""
    return home / FOLDER / f"{slug(name)}-{quantization}"


def find_embeddings(home: Path) -> list[Path]:
    """Folders under `home` that hold one, sorted by name."""
    found = (home / FOLDER).glob(f"*/{CARD}")
    return sorted(path.parent for path in found if path.parent.name[0] != ".")


def open_embedding(folder: Path) -> EmbeddingBundle:
    """Check a bundle, every file by its hash, and return it. Raises RefusedModel."""
    try:
        with (folder / CARD).open("rb") as stream:
            card = parse_embedding_card(stream.read(MOST_CARD_BYTES + 1))
        if what := damage(folder, card.files):
            raise ValueError(what)
    except (OSError, ValueError) as error:
        raise RefusedModel(
            f"the embedding model cannot be used: {error}",
            where=str(folder),
            cure="get it again: `pockethive models get NAME`",
        ) from error
    return EmbeddingBundle(folder, card)


def parse_embedding_card(raw: bytes) -> EmbeddingCard:
    """The card in the bytes of a `card.json`. Raises ValueError."""
    if len(raw) > MOST_CARD_BYTES:
        raise ValueError(f"the card has more than {MOST_CARD_BYTES} bytes")
    try:
        told: dict[str, Any] = orjson.loads(raw)
        told["files"] = {name: FileEntry(**entry) for name, entry in told["files"].items()}
        card = EmbeddingCard(**told)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the card cannot be read: {error}") from error
    if (card.kind, card.format) != ("embedding", _FORMAT):
        raise ValueError(f"the card is of kind {card.kind!r}, version {card.format!r}")
    if set(card.files) != set(MODEL_FILES):
        raise ValueError(f"the card must name {', '.join(MODEL_FILES)}")
    if not (_whole(card.width, _MOST_WIDTH) and _whole(card.longest, _MOST_TOKENS)):
        raise ValueError("the card's counts are no numbers within their bounds")
    if card.sealed().sha256 != card.sha256:
        raise ValueError("the card was changed: its hash does not fit")
    return card


def write_embedding(made: Path, card: EmbeddingCard, target: Path) -> EmbeddingBundle:
    """Move the model files of `made` and a sealed card to `target`, all or nothing.

    `made` must be on the same file system as `target`; a bundle already there is replaced.
    """
    sealed = replace(card, files=entries(made, MODEL_FILES)).sealed()
    place(made, MODEL_FILES, {CARD: card_body(asdict(sealed))}, target, open_embedding)
    return open_embedding(target)


def _whole(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
