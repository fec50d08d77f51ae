"""How much of a model its quantization kept, against the weights it was made of.

Both read the text that is shipped for it, in windows of 256 tokens; told are the perplexity of each
and on how many tokens they would have gone on alike. Guards: a variant that lost too much is not
taken for the model; figures that were measured on one device are no part of the bundle's hash.
"""

import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import orjson

from pockethive.core.errors import ModelError

FILE: Final = "quality.json"
FLOORS: Final = {"int8": 0.90, "int4": 0.60, "int8onnx": 0.90, "int4onnx": 0.90}
"""The least share of tokens on which a variant must agree with the weights it was made of."""
_VERSION = 1
_MOST_BYTES = 4 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What was measured on `tokens` tokens. Perplexities are per token, of the given next ones."""

    card: str  # hash of the card that these figures belong to
    tokens: int
    perplexity: float
    perplexity_before: float
    agreement: float  # share of tokens with the same most probable next one
    peak_bytes: int  # memory that making it took
    version: int = _VERSION

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"agrees with its source on {self.agreement:.1%} of {self.tokens} tokens, "
            f"perplexity {self.perplexity:.2f} (source: {self.perplexity_before:.2f})"
        )


def shipped_text() -> str:
    """The English text, 1,400 words of it, that variants are compared on."""
    return (files(__package__) / "quality.txt").read_text(encoding="utf-8")


def check_floor(quality: Quality, quantization: str) -> None:
    """Raises ModelError for a variant that lost too much."""
    floor = FLOORS.get(quantization, 0.0)
    if quality.agreement < floor:
        raise ModelError(
            f"this {quantization} variant is not good enough: it {quality}; "
            f"{floor:.0%} are asked for",
            cure="use --quantization int8, or keep it all the same with --force",
        )


def write_quality(folder: Path, quality: Quality) -> None:
    """Put the figures beside the card, all or nothing."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        stream.write(orjson.dumps(asdict(quality), option=orjson.OPT_INDENT_2))
    Path(stream.name).replace(folder / FILE)


def read_quality(folder: Path, card: str) -> Quality | None:
    """The figures beside a card with this hash; None where there are none of it."""
    try:
        with (folder / FILE).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        quality = Quality(**orjson.loads(raw[:_MOST_BYTES]))
        fits = quality.version == _VERSION and quality.card == card
        return quality if fits and str(quality) else None
    except (OSError, ValueError, TypeError):
        return None
