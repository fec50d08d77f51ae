"""Reading a written text instead of writing it again: what would have been drawn at every place.

One pass over prompt and tokens costs a fraction of drawing them one by one, which reads all weights
for each. Guards: a token is held against what the same sampling draws from the same logits, with
the same random numbers; what is no token never reaches the graph.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Any, Final

import numpy as np

from pockethive.core.ports import Sampling
from pockethive.inference.batcher import Ask, Begin, Read
from pockethive.inference.blocks import blocks_for
from pockethive.inference.sampling import Draw, checked
from pockethive.inference.slices import Floats
from pockethive.inference.tokens import Spelling, StopScanner, Tokens

_AT_ONCE: Final = 128  # places of one pass; each costs two rows of the vocabulary (400 kB)

Lag = Callable[[Floats, int], float]
"""From logits [vocabulary] and a token: how far it lies behind what would have been drawn."""


@dataclass(slots=True)
class Drawn:
    """Draws, and remembers what, and how likely that was."""

    draw: Draw
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0

    def __call__(self, logits: Floats) -> int:
        """The next token."""
        token = self.draw(logits)
        top = float(logits.max())
        rest = float(np.exp(logits - top).sum(dtype=np.float64))
        self.logprob += float(logits[token]) - top - float(np.log(rest))
        self.ids.append(token)
        return token


@dataclass(slots=True)
class Held:
    """Holds tokens against the logits before each, in their order."""

    ids: Sequence[int]
    behind: Lag
    seen: int = 0
    lag: float = 0.0
    worst: int = 0

    def see(self, logits: Floats) -> None:
        """Logits [places, vocabulary] of the next places."""
        for row in logits:
            lag = self.behind(row, self.ids[self.seen])
            lag = inf if isnan(lag) else lag  # what is no number is the worst
            if lag > self.lag:
                self.lag, self.worst = lag, self.seen
            self.seen += 1


def reread(
    prompt: Sequence[int], held: Held, *, stepwise: bool = False
) -> Generator[Ask, Any, float]:
    """Summed log-probability (natural) of tokens after `prompt`; neither may be empty.

    `stepwise`: token by token, as they were written, where many at once have other numbers.
    """
    at_once = 1 if stepwise else _AT_ONCE
    sequence = yield Begin(prompt, blocks_for(len(prompt) + len(held.ids)))
    rest, total = list(prompt[len(sequence) :]), 0.0
    for begin in range(0, len(held.ids), at_once):
        piece = held.ids[begin : begin + at_once]
        asked = Read(sequence, [*rest, *piece[:-1]], piece, held.see, word=stepwise and begin > 0)
        (made,) = yield [asked]
        total += float(made.sum(dtype=np.float64))
        rest = [piece[-1]]
    return total


def spelled(tokens: Tokens, ids: Sequence[int], most: int, stop: Sequence[str]) -> tuple[str, str]:
    """What `ids` spell, and why they end there: `stop`, `length`, or nothing if they do not.

    `most`: tokens that may be written.
    """
    spelling, scanner = Spelling(tokens), StopScanner(stop)
    shown, ended = [], 0
    for place, token in enumerate(ids, start=1):
        if token not in tokens.stop_ids:
            shown.append(scanner.add(spelling.add(token)))
        if token in tokens.stop_ids or scanner.found:
            ended = place
            break
    text = "".join((*shown, scanner.rest()))
    if ended:
        return text, "stop" if ended == len(ids) else ""
    return text, "length" if len(ids) == most else ""


def lag_of(sampling: Sampling) -> Lag:
    """How `sampling` tells what it would have drawn. Raises BadInput on a bad `Sampling`.

    Greedy: nats behind the likeliest token. Else the distance, in probability, of the random number
    from the piece of the line that is the token's; so one that another kernel's rounding moves over
    an edge is near.
    """
    checked(sampling)
    if sampling.temperature == 0:
        return lambda logits, token: float(logits.max() - logits[token])
    random = np.random.default_rng(sampling.seed)

    def behind(logits: Floats, token: int) -> float:
        scaled = logits.astype(np.float64) / sampling.temperature
        weights = np.exp(scaled - scaled.max())
        weights /= weights.sum()
        return _beside(weights, sampling.top_p, random.random(), token)

    return behind


def _beside(
    weights: "np.typing.NDArray[np.float64]", top_p: float, drawn: float, token: int
) -> float:
    """How far `drawn` is from the token's piece of the line, cut as `sampling` cuts it."""
    if top_p < 1:
        order = np.argsort(-weights, kind="stable")
        place, weights = int(np.flatnonzero(order == token)[0]), weights[order]
        total = np.cumsum(weights)
        count = int(np.searchsorted(total, top_p * total[-1])) + 1
        drawn *= total[min(count, len(order)) - 1]
    else:
        place, total = token, np.cumsum(weights)
    end = float(total[place])
    return max(0.0, end - float(weights[place]) - drawn, drawn - end)
