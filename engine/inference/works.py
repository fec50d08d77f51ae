"""What a model can be asked in words, each as work for the batcher.

The same methods as `pockethive.core.ports.Model`, but each returns a generator that a batcher runs
beside others. Guards: a prompt is never cut in silence; text from outside stays text.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Final

from pockethive.core.errors import BadInput, ContextOverflow, ModelError
from pockethive.core.ports import Answer, Generation, Rescored, Sampling, Span
from pockethive.inference import requests
from pockethive.inference.batcher import Ask
from pockethive.inference.bundle import Card
from pockethive.inference.guide import Guide, json_grammar
from pockethive.inference.primitives import begun
from pockethive.inference.requests import Scores, Writing
from pockethive.inference.rescoring import Drawn, Held, lag_of, reread, spelled
from pockethive.inference.sampling import drawer
from pockethive.inference.snapshots import SnapshotFiles
from pockethive.inference.tokens import Spelling, StopScanner, Tokens

_SCORES_KEPT: Final = 512

Show = Callable[[str], None]


def unseen(_: str) -> None:
    """For a text that nobody reads before it ends."""


class Works:
    """One model's. `files`: where remembered beginnings outlive the process; `steady`: what is read
    has the numbers of what is written."""

    def __init__(
        self,
        tokens: Tokens,
        card: Card,
        files: SnapshotFiles | None = None,
        *,
        steady: bool = True,
    ) -> None:
        self._tokens, self._card, self._files, self._steady = tokens, card, files, steady
        # The same null prompt and options come again with every question that is asked.
        self._scores: OrderedDict[tuple[str, tuple[str, ...]], Scores] = OrderedDict()

    def generate(
        self, prompt: str, sampling: Sampling, show: Show = unseen
    ) -> Generator[Ask, Any, Generation]:
        """Continue `prompt`; `show` is told pieces of text as they are made."""
        return self._write(prompt, sampling, None, show)

    def rescore(
        self, prompt: str, ids: Sequence[int], sampling: Sampling
    ) -> Generator[Ask, Any, Rescored]:
        """Read `ids` as if they had been drawn after `prompt`."""
        held, known = Held(ids, lag_of(sampling)), self._encode(prompt, 1)
        most = min(sampling.max_tokens, self._card.context - len(known))
        if not 0 < len(ids) <= most or not all(0 <= token < self._tokens.size for token in ids):
            return Rescored(  # nobody could have drawn that
                text="", finish="", logprob=-inf, lag=inf, worst=0, prompt_tokens=len(known)
            )
        text, finish = spelled(self._tokens, ids, most, sampling.stop)
        logprob = yield from reread(known, held, stepwise=not self._steady)
        return Rescored(
            text=text,
            finish=finish,
            logprob=logprob,
            lag=held.lag,
            worst=held.worst,
            prompt_tokens=len(known),
        )

    def constrain(
        self, prompt: str, schema: dict[str, object], sampling: Sampling
    ) -> Generator[Ask, Any, Generation]:
        """JSON text that satisfies a schema. Raises ModelError if `max_tokens` ran out."""

        guide = Guide(self._tokens, json_grammar(schema))
        made = yield from self._write(prompt, sampling, guide, unseen)
        if made.finish != "stop":
            raise ModelError(
                f"the JSON text did not end within {made.generated_tokens} tokens",
                cure="allow more tokens, or give strings and arrays in the schema a maximum length",
            )
        return made

    def score(self, prompt: str, options: Sequence[str]) -> Generator[Ask, Any, Scores]:
        """Summed log-probability of each option after `prompt`."""
        key = (prompt, tuple(options))
        known = self._scores.get(key)
        if known is None:
            encoded = [self._tokens.encode(option) for option in options]
            if not all(encoded):
                raise BadInput("an option to score is empty")
            if not encoded:
                return ()
            ids = self._encode(prompt, max(map(len, encoded)))
            known = self._keep(key, (yield from requests.score(ids, encoded)))
        self._scores.move_to_end(key)
        return known

    def tails(
        self, prompt: str, texts: Sequence[str], tail: str
    ) -> Generator[Ask, Any, tuple[float, ...]]:
        """Summed log-probability of `tail` after `prompt` and each of `texts`."""
        key = (prompt, (*texts, tail))
        known = self._scores.get(key)
        if known is None:
            encoded = [self._tokens.encode(text) for text in texts]
            ending = self._tokens.encode(tail)
            if not all(encoded) or not ending:
                raise BadInput("a text to score after, or what is scored, is empty")
            if not encoded:
                return ()
            ids = self._encode(prompt, max(map(len, encoded)) + len(ending))
            known = self._keep(key, (yield from requests.tails(ids, encoded, ending)))
        self._scores.move_to_end(key)
        return known

    def _keep(self, key: tuple[str, tuple[str, ...]], scores: Scores) -> Scores:
        self._scores[key] = scores
        if len(self._scores) > _SCORES_KEPT:
            self._scores.popitem(last=False)
        return scores

    def remember(self, beginning: str) -> Generator[Ask, Any, int]:
        """Read the beginning of prompts to come; returns how many tokens that took.

        Its last two tokens are left out: what follows may be cut into tokens with them.
        """
        ids = self._encode(beginning, 0)[:-2]
        return (yield from requests.remember(ids, self._files)) if ids else 0

    def answer(self, primitive: str, *given: Any) -> Generator[Ask, Any, Answer]:
        """What a primitive makes of what it is given; texts from outside stay texts."""
        made = yield from begun(primitive, self, *map(self._plain, given))
        if isinstance(made.value, Span):
            span = made.value
            return replace(made, value=replace(span, text=given[0][span.start : span.end]))
        return made

    def _plain(self, given: Any) -> Any:
        """Control tokens broken in all texts of an argument."""
        if isinstance(given, str):
            return self._tokens.plain(given)
        if isinstance(given, Mapping):
            return {name: self._plain(each) for name, each in given.items()}
        return tuple(map(self._plain, given)) if isinstance(given, Sequence) else given

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        return len(self._tokens.encode(text))

    def _encode(self, prompt: str, room: int) -> list[int]:
        """Token ids of a prompt, after what this model wants before every prompt.

        Raises ContextOverflow when `room` tokens more would not fit, BadInput for none at all.
        """
        ids, prefix = self._tokens.encode(prompt), list(self._card.prefix_ids)
        ids = ids if ids[: len(prefix)] == prefix else prefix + ids
        if not ids:
            raise BadInput("the prompt is empty")
        if len(ids) + room > self._card.context:
            raise ContextOverflow(len(ids) + room, self._card.context)
        return ids

    def _write(
        self, prompt: str, sampling: Sampling, guide: requests.Guide | None, show: Show
    ) -> Generator[Ask, Any, Generation]:
        drawn, ids = Drawn(drawer(sampling)), self._encode(prompt, 1)
        spelling, scanner = Spelling(self._tokens), StopScanner(sampling.stop)
        shown: list[str] = []

        def tell(piece: str) -> None:
            if piece:
                shown.append(piece)
                show(piece)

        def spell(token: int) -> bool:
            tell(scanner.add(spelling.add(token)))
            return scanner.found

        made = yield from requests.write(
            ids,
            Writing(
                draw=drawn.draw if guide else drawn,
                stop_ids=self._tokens.stop_ids,
                most=min(sampling.max_tokens, self._card.context - len(ids)),
                show=spell,
                guide=guide,
            ),
        )
        tell(scanner.rest())
        return Generation(
            text="".join(shown),
            prompt_tokens=len(ids),
            generated_tokens=made.tokens,
            finish=made.finish,
            ids=tuple(drawn.ids),
            logprob=drawn.logprob,
        )
