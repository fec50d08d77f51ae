"""Choosing among the models of a home by what is needed of one.

Guards: nothing is taken that was not asked for, and a refusal says what there is and what each one
lacks. The choice is the same for the same models, measurements and free memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pockethive.core.errors import ModelError, RefusedModel
from pockethive.core.spec import ModelNeed, ModelWish
from pockethive.inference.bundle import Bundle, Card, find_bundles, read_card
from pockethive.inference.footprint import PROGRAM
from pockethive.inference.speed import read_speed

_AT_WORK: Final = 1.5  # times its files: with keys and values of a thousand tokens, as measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that is here. `memory` in bytes, measured or reckoned; `speed` None: not measured."""

    name: str
    quantization: str
    licence: str
    parameters: int
    memory: int
    speed: float | None = None

    def __str__(self) -> str:
        speed = "not measured" if self.speed is None else f"{self.speed:.0f} tokens/s"
        return (
            f"{self.name} {self.quantization} ({self.parameters / 1e6:.0f}M, "
            f"{self.memory / 1e6:.0f} MB of memory, {speed}, {self.licence})"
        )


def candidates(home: Path) -> list[Candidate]:
    """The models under `home` whose cards can be read."""
    found = []
    for folder in find_bundles(home):
        try:
            found.append(_candidate(folder, read_card(folder)))
        except ModelError:
            continue  # `models list` tells of it
    return found


def choose(wish: ModelWish, found: Sequence[Candidate], free: int | None) -> ModelNeed:
    """The one with most parameters; of those alike the finer weights, then the faster.

    `free`: bytes of memory, None if nobody can tell. Raises RefusedModel: none will do.
    """
    lacking = {each: _lack(wish, each, free) for each in found}
    good = [each for each, lack in lacking.items() if not lack]
    if not good:
        told = "; ".join(f"{each}: {', '.join(lack)}" for each, lack in lacking.items())
        raise RefusedModel(
            f"no model here will do: {told or 'there is none'}",
            cure="pockethive models get brings one, pockethive models bench measures",
        )
    best = max(
        good, key=lambda each: (each.parameters, each.quantization == "int8", each.speed or 0.0)
    )
    return ModelNeed(name=best.name, quantization=best.quantization)


def _lack(wish: ModelWish, each: Candidate, free: int | None) -> list[str]:
    """What keeps a model from being what is wished for."""
    reasons = {
        f"fewer than {wish.at_least / 1e6:.0f}M": each.parameters < wish.at_least,
        f"more than {wish.at_most / 1e6:.0f}M": 0 < wish.at_most < each.parameters,
        f"{(free or 0) / 1e6:.0f} MB of memory are free": wish.fits
        and free is not None
        and each.memory > free,
        "its speed is not measured": wish.speed > 0 and each.speed is None,
        f"slower than {wish.speed} tokens/s": each.speed is not None and each.speed < wish.speed,
        "another licence": bool(wish.licences)
        and each.licence.casefold() not in {one.casefold() for one in wish.licences},
    }
    return [reason for reason, true in reasons.items() if true]


def _candidate(folder: Path, card: Card) -> Candidate:
    speed = read_speed(folder, card.sha256)
    reckoned = PROGRAM + int(_AT_WORK * Bundle(folder, card).size)
    return Candidate(
        name=card.name,
        quantization=card.quantization,
        licence=card.licence,
        parameters=card.parameters,
        memory=reckoned if speed is None else speed.memory,
        speed=None if speed is None else speed.decode,
    )
