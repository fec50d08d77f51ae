"""What all run times of `bench.models` are asked, drawn by a seed."""

import json
import random
import re
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

KINDS: Final = ("animal", "plant", "tool")


class Prompts:
    """Words that are a token each, drawn by a seed."""

    def __init__(self, tokenizer: Path, seed: int) -> None:
        """Read the vocabulary."""
        self._tokens = Tokenizer.from_file(str(tokenizer))
        size = min(40_000, self._tokens.get_vocab_size())
        word = re.compile(r" [a-z]{4,}")
        self._words = [i for i in range(size) if word.fullmatch(self._tokens.decode([i]))]
        self._source = random.Random(seed)

    def words(self, count: int) -> list[int]:
        """So many tokens."""
        return self._source.choices(self._words, k=count)

    def shuffled(self, names: list[str]) -> list[str]:
        """The same names in another order."""
        return self._source.sample(names, len(names))

    def encode(self, text: str) -> list[int]:
        """Its tokens."""
        ids: list[int] = self._tokens.encode(text).ids
        return ids

    def thing(self) -> tuple[list[int], dict[str, Any]]:
        """A prompt and a schema that nobody has seen: its names are words."""
        name, kind, sure, tags = (self._tokens.decode(self.words(2)).strip() for _ in range(4))
        short = {"type": "string", "maxLength": 12}
        properties = {
            name: {"type": "string", "maxLength": 24},
            kind: {"enum": list(KINDS)},
            sure: {"type": "boolean"},
            tags: {"type": "array", "items": short, "minItems": 3, "maxItems": 3},
        }
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        text = f"Tell of {name}, {kind}, {sure} and {tags} as JSON:\n"
        return self.encode(text), schema | {"additionalProperties": False}


def fits(text: str, schema: dict[str, Any]) -> bool:
    """Whether it is an object of this schema's form; the lengths of texts, too."""
    try:
        made = json.loads(text)
    except ValueError:
        return False
    wanted = list(schema["properties"])
    if not isinstance(made, dict) or sorted(made) != sorted(wanted):
        return False
    name, kind, sure, tags = (made[each] for each in wanted)
    texts = isinstance(name, str) and len(name) <= 24 and isinstance(tags, list) and len(tags) == 3
    short = texts and all(isinstance(tag, str) and len(tag) <= 12 for tag in tags)
    return short and kind in KINDS and isinstance(sure, bool)
