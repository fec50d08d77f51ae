"""How fast a model reads and writes on this device, and the memory that it took: `speed.json`.

Measured by `pockethive models bench`, kept beside the card. Guards: figures of another device are
no figures of this one, so that the file never travels; what is not of this card says nothing.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from pockethive.core.errors import ModelError
from pockethive.core.ports import Model, Sampling
from pockethive.inference.quality import shipped_text

FILE: Final = "speed.json"
ROUNDS: Final = 3
_WORDS: Final = 400  # of a prompt; of what is measured, the middle one of the rounds counts
_WRITTEN: Final = 48  # tokens
_VERSION: Final = 1
_MOST_BYTES: Final = 4 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Tokens a second, reading and writing. `memory`: the most that the process had, in bytes."""

    card: str  # hash of the card that these figures belong to
    prefill: float
    decode: float
    memory: int
    threads: int
    version: int = _VERSION

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"reads {self.prefill:.0f} and writes {self.decode:.1f} tokens a second here with "
            f"{self.threads} threads, and took {self.memory / 1e6:.0f} MB of memory"
        )


def measure(
    model: Model, card: str, threads: int, clock: Callable[[], float] = time.perf_counter
) -> Speed:
    """Let a model that was just loaded read and write; a quarter of a minute for the default one.

    Each round has a beginning of its own, because what was read before is not read again. Raises
    ModelError: it wrote too little to tell.
    """
    reads, writes = [], []
    for number in range(ROUNDS):
        prompt = _prompt(model, 2 * number)
        began = clock()
        model.generate(prompt, Sampling(max_tokens=1))
        read = clock() - began
        reads.append(model.count(prompt) / max(read, 1e-9))
        other = _prompt(model, 2 * number + 1)
        began = clock()
        made = model.generate(other, Sampling(max_tokens=_WRITTEN))
        wrote = clock() - began - read * model.count(other) / model.count(prompt)
        if made.generated_tokens > 1 and wrote > 0:
            writes.append((made.generated_tokens - 1) / wrote)
    if not writes:
        raise ModelError("it ended each text at once, so that its speed cannot be told")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Speed(
        card=card,
        prefill=statistics.median(reads),
        decode=statistics.median(writes),
        memory=peak if sys.platform == "darwin" else peak * 1024,
        threads=threads,
    )


def keep_speed(folder: Path, speed: Speed) -> None:
    """Put the figures beside the card, all or nothing. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as stream:
        stream.write(orjson.dumps(asdict(speed), option=orjson.OPT_INDENT_2))
    Path(stream.name).replace(folder / FILE)


def read_speed(folder: Path, card: str) -> Speed | None:
    """The figures beside a card with this hash; None where there are none of it."""
    try:
        with (folder / FILE).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        speed = Speed(**orjson.loads(raw[:_MOST_BYTES]))
        fits = speed.version == _VERSION and speed.card == card
        return speed if fits and str(speed) else None
    except (OSError, ValueError, TypeError):
        return None


def _prompt(model: Model, number: int) -> str:
    """Text that begins as no other, long enough to tell, and short enough for the model."""
    words = f"{number} {number * 7919}: {shipped_text()}".split()[:_WORDS]
    while model.count(" ".join(words)) + _WRITTEN > model.context and len(words) > 8:
        words = words[: len(words) // 2]
    return " ".join(words)
