"""A local model at work, without PyTorch or transformers in the process.

One compiled graph serves every need: free text, streaming, scoring and constrained JSON. Rule
guarded here: a prompt is never cut in silence, and every prompt goes through the same prefix cache.

Not thread-safe by design: one thread at a time (the model actor sees to that). Closing a stream
early is safe.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pockethive.core.errors import BadInput, ContextOverflow, ModelError
from pockethive.core.ports import ChoiceForm, Generation, ModelClass, Ranking, Sampling, Span
from pockethive.inference import primitives
from pockethive.inference.bundle import Bundle
from pockethive.inference.guide import Guide, json_grammar
from pockethive.inference.prefixes import Prefixes
from pockethive.inference.runtime import Floats, Runtime
from pockethive.inference.sampling import drawer
from pockethive.inference.snapshots import SnapshotFiles
from pockethive.inference.tokens import Spelling, StopScanner, Tokens

_SCORES_KEPT = 512
_FORKED_AT_ONCE = 4096  # tokens of state; each option reads a copy of the prompt (46 kB a token)
_SCORED_AT_ONCE = 256  # positions; each costs a row of the vocabulary (200 kB)


class Session:
    """Implements `pockethive.core.ports.Model` over a bundle."""

    def __init__(self, bundle: Bundle, *, threads: int = 2, cache: Path | None = None) -> None:
        """Load `bundle`: about two seconds and 500 MB for the default model.

        `cache` is a folder where compiled graphs and remembered prompts are kept for the next
        process; the first one pays, the others load in a fraction of a second.
        """
        self.bundle = bundle
        self.tokens = Tokens(bundle.folder / "tokenizer.json", bundle.card.stop_ids)
        self._runtime = Runtime(bundle.folder, threads, cache and cache / "compiled")
        named = f"{bundle.model_class.sha256} {bundle.model_class.runtime} f32"
        self._prefixes = Prefixes(SnapshotFiles(cache / "prompts", named) if cache else None)
        # The same null prompt and options come again with every question that is asked.
        self._score_once = lru_cache(maxsize=_SCORES_KEPT)(self._score)

    @property
    def model_class(self) -> ModelClass:
        """What makes two devices' outputs comparable."""
        return self.bundle.model_class

    @property
    def context(self) -> int:
        """Tokens the model can read, prompt and answer together."""
        return self.bundle.card.context

    @property
    def plans(self) -> bool:
        """Whether the card allows free plans."""
        return self.bundle.card.plans

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        return len(self.tokens.encode(text))

    def chat(self, system: str, user: str) -> str:
        """The prompt that this model's chat template makes of a turn."""
        places = {"system": self.tokens.plain(system), "user": self.tokens.plain(user)}
        return self.bundle.card.chat_prompt(places)

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """Continue `prompt`. Raises ContextOverflow."""
        return _drain(self._write(prompt, sampling))

    def stream(self, prompt: str, sampling: Sampling) -> Generator[str, None, Generation]:
        """Pieces of text as they are made; closing the iterator stops the model.

        The generator's return value is what `generate` would have returned.
        """
        return self._write(prompt, sampling)

    def constrain(self, prompt: str, schema: dict[str, object], sampling: Sampling) -> Generation:
        """JSON text that satisfies a JSON schema. Raises ModelError if `max_tokens` ran out."""
        guide = Guide(self.tokens, json_grammar(schema))
        made = _drain(self._write(prompt, sampling, guide))
        if made.finish != "stop":
            raise ModelError(
                f"the JSON text did not end within {made.generated_tokens} tokens",
                cure="allow more tokens, or give strings and arrays in the schema a maximum length",
            )
        return made

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """Summed log-probability (natural) of each option as the continuation of `prompt`.

        Options are tokenized on their own: begin them with the space that the prompt lacks, and
        end them with what ends an answer in the prompt, or else "1" wins over "12".
        """
        return self._score_once(prompt, tuple(options))

    def remember(self, beginning: str) -> int:
        """Read the beginning of prompts to come, once for all; returns the tokens that took.

        Its last two tokens are left out: what follows may be cut into tokens with them.
        """
        ids = self._encode(beginning)
        if len(ids) > self.context:
            raise ContextOverflow(len(ids), self.context)
        return self._prefixes.remember(self._runtime, ids[:-2])

    def choose(
        self, forms: Sequence[ChoiceForm], places: dict[str, str], options: Sequence[str]
    ) -> Ranking:
        """Rank options by few-shot, calibrated likelihood, summed over the prompt forms."""
        clean = {name: self.tokens.plain(text) for name, text in places.items()}
        return primitives.choose(self, forms, clean, [self.tokens.plain(o) for o in options])

    def extract(self, passage: str, question: str) -> Span | None:
        """A span of `passage` that answers `question`, or None when there is none."""
        plain = self.tokens.plain
        span = primitives.extract(self, plain(passage), plain(question))
        return replace(span, text=passage[span.start : span.end]) if span else None

    def _encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt, after what this model wants before every prompt."""
        ids, prefix = self.tokens.encode(prompt), list(self.bundle.card.prefix_ids)
        return ids if ids[: len(prefix)] == prefix else prefix + ids

    def _begin(self, ids: Sequence[int], room: int) -> int:
        """Bring the runtime to the known prefix of a prompt; returns its length in tokens."""
        if not ids:
            raise BadInput("the prompt is empty")
        if len(ids) + room > self.context:
            raise ContextOverflow(len(ids) + room, self.context)
        return self._prefixes.prepare(self._runtime, ids)

    def _read(self, ids: Sequence[int], room: int) -> Floats:
        """Read a prompt, its known prefix from the cache; the logits after it, as a copy."""
        known = self._begin(ids, room)
        step = self._runtime.read(np.array([ids[known:]], np.int64))
        return np.array(step.logits[0, -1])

    def _score(self, prompt: str, options: tuple[str, ...]) -> tuple[float, ...]:
        encoded = [self.tokens.encode(option) for option in options]
        if not all(encoded):
            raise BadInput("an option to score is empty")
        if not encoded:
            return ()
        ids = self._encode(prompt)
        if len(encoded) == 1:
            return (self._score_one(ids, encoded[0]),)
        longest = max(map(len, encoded))
        first = _log_softmax(self._read(ids, longest))
        totals = np.array([first[option[0]] for option in encoded], np.float64)
        rests = [i for i, option in enumerate(encoded) if len(option) > 1]
        groups = _groups(rests, encoded, len(ids))
        start = self._runtime.snapshot(len(ids)) if len(groups) > 1 else None
        for number, group in enumerate(groups):
            if number and start is not None:
                self._runtime.restore(start)
            totals[group] += self._score_rests([encoded[i] for i in group])
        return tuple(float(total) for total in totals)

    def _score_one(self, ids: Sequence[int], option: Sequence[int]) -> float:
        """Prompt and option in one pass: a second one for a few tokens costs as much as thirty."""
        known = self._begin(ids, len(option))
        read = np.array([[*ids[known:], *option[:-1]]], np.int64)
        rows = np.arange(len(ids) - 1 - known, read.shape[1])
        step = self._runtime.read(read, rows=rows, targets=np.array([option], np.int64))
        return float(step.logprobs[0].sum(dtype=np.float64))

    def _score_rests(self, options: Sequence[Sequence[int]]) -> Floats:
        """Log-probability of each option after its first token, all in one pass."""
        width = max(map(len, options)) - 1
        ids = np.zeros((len(options), width), np.int64)
        targets = np.zeros_like(ids)
        used = np.zeros(ids.shape, bool)
        for row, option in enumerate(options):
            size = len(option) - 1
            ids[row, :size], targets[row, :size], used[row, :size] = option[:-1], option[1:], True
        step = self._runtime.read(ids, rows=np.arange(width), targets=targets)
        return np.asarray(np.where(used, step.logprobs, 0.0).sum(axis=1), np.float32)

    def _write(
        self, prompt: str, sampling: Sampling, guide: Guide | None = None
    ) -> Generator[str, None, Generation]:
        """Write after `prompt`: yields text, returns the whole."""
        draw, ids = drawer(sampling), self._encode(prompt)
        logits = self._read(ids, 1)
        most = min(sampling.max_tokens, self.context - len(ids))
        spelling, scanner = Spelling(self.tokens), StopScanner(sampling.stop)
        shown: list[str] = []
        made, finish = 0, "length"
        while made < most and finish == "length":
            token = draw(guide.mask(logits) if guide else logits)
            if token in self.tokens.stop_ids:
                finish = "stop"
                break
            new = [token, *guide.take(token)] if guide else [token]
            made += len(new)
            for each in new:
                piece = scanner.add(spelling.add(each))
                if piece:
                    shown.append(piece)
                    yield piece
            if scanner.found or (guide and guide.complete):
                finish = "stop"
            elif made < most:
                logits = self._runtime.read(np.array([new], np.int64)).logits[0, -1].copy()
        if held := scanner.rest():
            shown.append(held)
            yield held
        return Generation(
            text="".join(shown), prompt_tokens=len(ids), generated_tokens=made, finish=finish
        )


def _drain(pieces: Generator[str, None, Generation]) -> Generation:
    """Run a writer to its end."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            made: Generation = end.value
            return made


def _groups(
    rests: Sequence[int], options: Sequence[Sequence[int]], prompt_tokens: int
) -> list[list[int]]:
    """Split options into passes that fit in memory, like lengths together."""
    most_rows = max(1, _FORKED_AT_ONCE // prompt_tokens)
    groups: list[list[int]] = []
    for index in sorted(rests, key=lambda i: len(options[i])):
        width = len(options[index]) - 1
        rows = len(groups[-1]) + 1 if groups else 0
        if 0 < rows <= most_rows and rows * width <= _SCORED_AT_ONCE:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _log_softmax(logits: Floats) -> Floats:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    return np.asarray(wide - np.log(np.exp(wide).sum()), np.float32)
