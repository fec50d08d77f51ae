"""Drawing the next token from logits.

Rule guarded here: a seed repeats a text; temperature 0 is the most likely token, the lowest id
among equals.
"""

from collections.abc import Callable

import numpy as np

from pockethive.core.errors import BadInput
from pockethive.core.ports import Sampling
from pockethive.inference.slices import Floats

Draw = Callable[[Floats], int]


def checked(sampling: Sampling) -> None:
    """Raises BadInput on a `Sampling` that means nothing."""
    if sampling.temperature < 0 or not 0 < sampling.top_p <= 1 or sampling.max_tokens < 1:
        raise BadInput(
            f"sampling is out of range: {sampling}",
            cure="temperature >= 0, 0 < top_p <= 1, max_tokens >= 1",
        )


def drawer(sampling: Sampling) -> Draw:
    """A function from logits [vocabulary] to a token id. Raises BadInput on a bad `Sampling`."""
    checked(sampling)
    if sampling.temperature == 0:
        return lambda logits: int(logits.argmax())
    random = np.random.default_rng(sampling.seed)

    def draw(logits: Floats) -> int:
        scaled = logits.astype(np.float64) / sampling.temperature
        weights = np.exp(scaled - scaled.max())
        weights /= weights.sum()
        return int(_nucleus(weights, sampling.top_p, random))

    return draw


def _nucleus(
    weights: "np.typing.NDArray[np.float64]", top_p: float, random: np.random.Generator
) -> int:
    """Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", arXiv 1904.09751."""
    if top_p == 1:  # nothing to leave out, and sorting a vocabulary takes milliseconds
        place = np.searchsorted(np.cumsum(weights), random.random(), side="right")
        return min(int(place), len(weights) - 1)
    order = np.argsort(-weights, kind="stable")
    total = np.cumsum(weights[order])
    count = int(np.searchsorted(total, top_p * total[-1])) + 1
    drawn = random.random() * total[min(count, len(order)) - 1]
    return int(order[np.searchsorted(total, drawn, side="right")])
