"""Text to token ids and back.

Rule guarded here: text that came from outside stays text. Control tokens such as `<|im_end|>` are
made by the chat template only; `plain` takes their power from everything else.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers

from pockethive.core.errors import ModelError

if TYPE_CHECKING:
    import llguidance

_BROKEN = "‹"  # stands for the first letter of a control token in a text from outside
_UNFINISHED = "\ufffd"  # what a decoder shows for half a character


class Tokens:
    """The tokenizer of a bundle."""

    def __init__(self, path: Path, stop_ids: Sequence[int]) -> None:
        """Read `tokenizer.json`; `stop_ids` end a text."""
        self._path = path
        self.stop_ids = frozenset(stop_ids)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(
                f"the tokenizer cannot be read: {error}",
                where=str(path),
                cure="build the model again with `pockethive models quantize`",
            ) from error
        added = json.loads(path.read_text(encoding="utf-8")).get("added_tokens", [])
        self._control = tuple(token["content"] for token in added if token.get("special"))

    @property
    def size(self) -> int:
        """How many tokens there are, control tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids, nothing put before or after."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, without control tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def plain(self, text: str) -> str:
        """`text`, of the same length, with control tokens broken: they are read as letters."""
        for control in self._control:
            if control in text:
                text = text.replace(control, _BROKEN + control[1:])
        return text

    @cached_property
    def guidance(self) -> "llguidance.LLTokenizer":
        """The same vocabulary for llguidance; takes most of a second, so only when needed."""
        import llguidance  # six megabytes; who never asks for a grammar needs none of it

        return llguidance.LLTokenizer(
            self._path.read_text(encoding="utf-8"),
            n_vocab=self.size,
            eos_token=min(self.stop_ids),
        )


class Spelling:
    """Turns tokens into text one by one, keeping back half characters."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._pending: list[int] = []

    def add(self, token: int) -> str:
        """The text that `token` completes; empty while a character is unfinished."""
        self._pending.append(token)
        text = self._tokens.decode(self._pending)
        if text.endswith(_UNFINISHED) and len(self._pending) < 8:
            return ""
        self._pending.clear()
        return text


class StopScanner:
    """Finds stop strings in text that arrives in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def add(self, piece: str) -> str:
        """The part that can be shown now; text that may begin a stop string is kept back."""
        text = self._held + piece
        ends = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return text[: min(ends)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What was kept back, when no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
