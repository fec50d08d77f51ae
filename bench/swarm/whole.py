"""Control: the whole job in one call. The model is told everything and writes the answer.

A fair chance: one worked job of the same kind before it, greedy, as many tokens as the answer could
take. Read leniently: white space, case and a closing full stop do not count, nor what follows the
first line. What is wrong already is not written to its end.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from pockethive.core.ports import Generation, Sampling
from pockethive.trials.family import Family, Job

_LONGEST: Final = 8_000  # tokens: the model reads 8,192
_PIECE: Final = 64  # tokens that are written before a look at whether they can still be right


class Writer(Protocol):
    """What of a model is needed here."""

    def count(self, text: str) -> int:
        """Tokens of a text."""

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """Go on after `prompt`."""


def asked_whole(family: Family, seed: int, length: int, example: int) -> str:
    """The prompt: a short job with its answer, then the job itself."""
    shown = family.job(example, min(length, 4))
    job = family.job(seed, length)
    return f"{_told(shown)}{family.truth(shown)}\n\n{_told(job)}"


def tried(session: Writer, family: Family, seed: int, length: int) -> dict[str, Any]:
    """One job in one call: what was written, and whether it is the truth."""
    prompt, truth = (
        asked_whole(family, seed, length, seed + 1),
        family.truth(family.job(seed, length)),
    )
    tokens, needed = session.count(prompt), session.count(truth)
    if tokens + needed > _LONGEST:
        why = f"{tokens} tokens and {needed} of the answer are more than the model reads"
        return {"right": False, "why": why, "wrote": ""}
    wrote = _written(session, prompt, truth, 2 * needed + 8)
    return {"right": _level(wrote) == _level(truth), "why": "", "wrote": wrote[:200]}


def _written(session: Writer, prompt: str, truth: str, most: int) -> str:
    """What the model writes, up to the end of the line, or to where it is wrong beyond repair."""
    wrote, made = "", 0
    while made < most:
        piece = session.generate(prompt + wrote, Sampling(max_tokens=min(_PIECE, most - made)))
        made += _PIECE
        wrote = (wrote + piece.text).lstrip("\n") if not wrote.strip() else wrote + piece.text
        line, end, _ = wrote.partition("\n")
        if end or not piece.text or not _level(truth).startswith(_level(line)):
            return line
    return wrote


def _told(job: Job) -> str:
    """A job in words; `given` of each family as it is."""
    return "\n".join((*_lines(job.given), f"{_QUESTIONS[job.family.partition('-')[0]]}:"))


def _lines(given: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in given.items():
        if isinstance(value, str | int):
            lines.append(f"{name}: {value}")
            continue
        flat: Sequence[Any] = value
        for each in flat:
            lines += [each] if isinstance(each, str) else [str(one) for one in each]
    return lines


_QUESTIONS: Final = {
    "tally": "How many of the thing do all records tell of together",
    "labels": "How many items have each label, in the order of the labels",
    "timeline": "The events in the order of their dates",
    "hanoi": "The moves that bring all disks from left to right",
    "sorting": "The numbers in ascending order",
    "sums": "Their sum",
    "products": "Their product",
}


def _level(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
