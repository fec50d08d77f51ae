"""What a card may say. Cards come from other devices, too.

Guards: a card that was made to mislead or to break whoever reads it is no card; a model is not
asked to stop at a token that it does not have.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from pockethive.core.errors import RefusedModel

if TYPE_CHECKING:
    from pockethive.inference.bundle import Card
    from pockethive.inference.bundle_files import FileEntry

TOKENIZER: Final = "tokenizer.json"
_MOST_TEXT: Final = 200
_MOST_TEMPLATE: Final = 16_384
_MOST_IDS: Final = 64
_MOST_BYTES: Final = 2**40
_MOST_TOKENIZER: Final = 256 << 20
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_WORD: Final = re.compile(r"[a-z0-9]{1,16}")  # it is part of a folder's name


def check_fields(card: "Card") -> None:
    """Raises ValueError: a field of another type, or over its bound."""
    lines = (card.name, card.quantization, card.source, card.revision, card.licence)
    ids = (*card.stop_ids, *card.prefix_ids)
    rules = {
        "a line of it is no line of text": all(map(_is_line, lines)),
        "its quantization is no word": _WORD.fullmatch(str(card.quantization)) is not None,
        "its chat templates are no text": all(map(_is_template, (card.chat, card.chat_bare))),
        "its counts are no numbers": all(
            _whole(n, 1, 2**50) for n in (card.parameters, card.context)
        ),
        "its tokens are none": len(ids) <= _MOST_IDS and all(_whole(one, 0, 2**31) for one in ids),
        "it says nothing of plans": type(card.plans) is bool,
        "its accuracy as a judge is none": _share(card.judge_accuracy),
        "it names a file without size and hash": all(map(_is_entry, card.files.values())),
    }
    broken = [said for said, kept in rules.items() if not kept]
    if broken:
        raise ValueError("; ".join(broken))


def check_tokens(folder: Path, card: "Card") -> None:
    """Raises RefusedModel: the model has no token at which its card tells it to stop or begin."""
    known = _ids(folder / TOKENIZER)
    unknown = [one for one in (*card.stop_ids, *card.prefix_ids) if one not in known]
    if not card.stop_ids or unknown:
        what = f"knows no token {unknown[0]}" if unknown else "is told of no token"
        raise RefusedModel(
            f"{card.name} {what} at which it should stop or begin",
            where=str(folder),
            cure="it would write without end: take another source of this model",
        )


def _ids(path: Path) -> frozenset[int]:
    try:
        if path.stat().st_size > _MOST_TOKENIZER:
            raise ValueError("it is too large")
        raw: Any = orjson.loads(path.read_bytes())
        words = raw["model"]["vocab"]
        ids = words.values() if isinstance(words, Mapping) else range(len(words))
        added = [token["id"] for token in raw.get("added_tokens") or ()]
        return frozenset([*ids, *added])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RefusedModel(
            f"the tokenizer cannot be read: {error}", where=str(path), cure="get the model again"
        ) from error


def _is_line(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MOST_TEXT and text.isprintable()


def _is_template(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MOST_TEMPLATE


def _is_entry(entry: "FileEntry") -> bool:
    return _whole(entry.size, 0, _MOST_BYTES) and _HEX.fullmatch(str(entry.sha256)) is not None


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _share(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value <= 1)
