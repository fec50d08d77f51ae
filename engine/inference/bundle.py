"""A model on disk: one folder that says what it holds.

    openvino_model.xml, openvino_model.bin   graph and weights, for OpenVINO
    model.onnx, model.onnx.data              the same instead, for ONNX Runtime
    tokenizer.json                           repaired (see export/export_script.py)
    card.json                                source, licence, quantization, hashes
    quality.json                             what it keeps of its source (see quality.py)
    origin.json                              who gave it, where a device of the hive did (parcel.py)
    .verified                                sizes and times at the last full check

Rule guarded here: a bundle is used only if its files are those that its card names. The card holds
no date and no path, so that two devices that make the same bundle get the same hash.
"""

import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from pockethive.core.errors import RefusedModel
from pockethive.core.forms import fill_template
from pockethive.core.ports import ModelClass
from pockethive.core.spec import EXACT
from pockethive.inference.bundle_files import (
    FileEntry,
    card_body,
    card_hash,
    damage,
    entries,
    place,
    read_stamp,
    write_stamp,
)
from pockethive.inference.card_check import check_fields
from pockethive.inference.catalogue import FOR_ONNX

log = logging.getLogger(__name__)

CARD = "card.json"
MODEL_FILES = ("openvino_model.bin", "openvino_model.xml", "tokenizer.json")
ONNX_FILES = ("model.onnx.data", "model.onnx", "tokenizer.json")
"""Weights, graph, tokenizer."""
_STAMP = ".verified"
_VERSION = 1
MOST_CARD_BYTES = 64 << 10
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a bundle says about itself. `sha256` covers every other field."""

    name: str
    quantization: str
    source: str
    revision: str
    licence: str
    parameters: int
    context: int
    stop_ids: tuple[int, ...]
    prefix_ids: tuple[int, ...] = ()  # put before every prompt that does not begin with them
    chat: str  # a turn with a system text: places {system} and {user}
    chat_bare: str  # a turn without one: place {user}
    files: Mapping[str, FileEntry]
    plans: bool = False  # whether free JSON plans of this model are worth asking for
    judge_accuracy: float | None = None  # as a yes/no judge, held out: 95 % lower bound
    format: int = _VERSION
    sha256: str = field(default="")

    def chat_prompt(self, places: Mapping[str, str]) -> str:
        """The prompt for one turn; an empty system text means none."""
        template = self.chat if places.get("system") else self.chat_bare
        return fill_template(template, places, f"chat template of {self.name}")

    def sealed(self) -> "Card":
        """The same card with its hash."""
        return replace(self, sha256=card_hash(asdict(self)))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose files were checked against its card."""

    folder: Path
    card: Card

    @property
    def model_class(self) -> ModelClass:
        """Name, quantization and hash, with the run time that reads it and its arithmetic."""
        return self.class_in(EXACT)

    def class_in(self, arithmetic: str) -> ModelClass:
        """The same for one of `ARITHMETICS`; with ONNX Runtime there is no choice."""
        from importlib.metadata import version  # a megabyte; a device without models asks nothing

        package, said = ("openvino", "f32" if arithmetic == EXACT else arithmetic)
        if self.for_onnx:
            package, said = "onnxruntime", "int8"
        return ModelClass(
            name=self.card.name,
            quantization=self.card.quantization,
            sha256=self.card.sha256,
            runtime=f"{package} {version(package)} {said}",
        )

    @property
    def for_onnx(self) -> bool:
        """Whether ONNX Runtime reads it; else OpenVINO does."""
        return self.card.quantization in FOR_ONNX

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.folder / model_files(self.card.quantization)[0]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(entry.size for entry in self.card.files.values())


def model_files(quantization: str) -> tuple[str, ...]:
    """The files of a bundle beside its card."""
    return ONNX_FILES if quantization in FOR_ONNX else MODEL_FILES


def bundle_folder(home: Path, name: str, quantization: str) -> Path:
    """Where the bundle of a model lives under `home`."""
    return home / "models" / f"{slug(name)}-{quantization}"


def slug(name: str) -> str:
    """A folder name for a model name such as `Owner/Model`."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "model"


def open_bundle(folder: Path, *, full: bool = False) -> Bundle:
    """Check a bundle and return it; raises RefusedModel.

    Fast when the sizes and times of the files are those of the last full check; `full` hashes
    every file in any case.
    """
    card = read_card(folder)
    stamp = _stamp(folder, card)
    if full or read_stamp(folder, _STAMP) != stamp:
        if what := damage(folder, card.files):
            raise _damaged(folder, what)
        write_stamp(folder, _STAMP, stamp)
    return Bundle(folder, card)


def read_card(folder: Path) -> Card:
    """The card of a bundle, itself checked but not the files it names. Raises RefusedModel."""
    try:
        with (folder / CARD).open("rb") as stream:
            raw = stream.read(MOST_CARD_BYTES + 1)
    except FileNotFoundError as error:
        raise _damaged(folder, "no model bundle here: card.json is missing") from error
    except OSError as error:
        raise _damaged(folder, f"the card cannot be read: {error}") from error
    return parse_card(raw, folder)


def parse_card(raw: bytes, where: Path | str) -> Card:
    """The card in the bytes of a `card.json`. Raises RefusedModel."""
    try:
        if len(raw) > MOST_CARD_BYTES:
            raise ValueError(f"it has more than {MOST_CARD_BYTES} bytes")
        card = _parse_card(orjson.loads(raw))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(where, f"the card cannot be read: {error}") from error
    if card.format != _VERSION:
        raise _damaged(where, f"the card has version {card.format}, this program {_VERSION}")
    if card.sealed().sha256 != card.sha256:
        raise _damaged(where, "the card was changed: its hash does not fit")
    return card


def write_bundle(made: Path, card: Card, target: Path) -> Bundle:
    """Move the model files of `made` and a sealed card to `target`, all or nothing.

    `made` must be on the same file system as `target`; a bundle already there is replaced.
    """
    return place_bundle(made, {CARD: card_body(asdict(sealed_card(made, card)))}, target)


def place_bundle(made: Path, beside: Mapping[str, bytes], target: Path) -> Bundle:
    """Move the model files of `made` to `target`, with the card and what else stands `beside` them.

    All or nothing: they are checked by the card before the first of them is seen there. Raises
    RefusedModel.
    """
    names = parse_card(beside[CARD], target).files
    place(made, names, beside, target, partial(open_bundle, full=True))
    return open_bundle(target)


def sealed_card(made: Path, card: Card) -> Card:
    """The card of the model files in `made`, with its hash."""
    return replace(card, files=entries(made, model_files(card.quantization))).sealed()


def find_bundles(home: Path) -> list[Path]:
    """Folders under `home` that hold a card, sorted by name."""
    folder = home / "models"
    return sorted(path.parent for path in folder.glob(f"*/{CARD}") if path.parent.name[0] != ".")


def remove_bundle(folder: Path) -> int:
    """Delete a bundle; returns the bytes freed. Renamed first, so that half of it never shows."""
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory(prefix=".removing-", dir=folder.parent) as scratch:
        folder.rename(Path(scratch) / "old")
    return freed


def _parse_card(raw: dict[str, Any]) -> Card:
    raw["files"] = {name: FileEntry(**entry) for name, entry in raw["files"].items()}
    raw["stop_ids"], raw["prefix_ids"] = tuple(raw["stop_ids"]), tuple(raw["prefix_ids"])
    card = Card(**raw)
    if set(card.files) != set(names := model_files(card.quantization)):
        raise ValueError(f"it must name {', '.join(names)}")
    check_fields(card)
    return card


def _stamp(folder: Path, card: Card) -> dict[str, Any]:
    """What the fast check compares; an absent file has size -1."""
    seen: dict[str, Any] = {"card": card.sha256}
    for name in card.files:
        path = folder / name
        stat = path.stat() if path.is_file() else None
        seen[name] = [stat.st_size, stat.st_mtime_ns] if stat else [-1, 0]
    return seen


def _damaged(folder: Path | str, what: str) -> RefusedModel:
    return RefusedModel(
        what,
        where=str(folder),
        cure="get it again: `pockethive models get NAME`, with its `--quantization`",
    )
