"""Control: the whole job in one call. The model is told everything and writes the answer.

A fair chance: one worked job of the same kind before it, greedy, as many tokens as the answer could
take. Read leniently: white space, case and a closing full stop do not count, nor what follows the
first line.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pockethive.core.ports import Sampling
from pockethive.inference.session import Session
from pockethive.trials.family import Family, Job

_LONGEST: Final = 7_000  # tokens of a prompt: the model reads 8,192


def asked_whole(family: Family, seed: int, length: int, example: int) -> str:
    """The prompt: a short job with its answer, then the job itself."""
    shown = family.job(example, min(length, 4))
    job = family.job(seed, length)
    return f"{_told(shown)}{family.truth(shown)}\n\n{_told(job)}"


def tried(session: Session, family: Family, seed: int, length: int) -> dict[str, Any]:
    """One job in one call: what was written, and whether it is the truth."""
    prompt, truth = (
        asked_whole(family, seed, length, seed + 1),
        family.truth(family.job(seed, length)),
    )
    tokens = session.count(prompt)
    if tokens > _LONGEST:
        return {
            "right": False,
            "why": f"{tokens} tokens are more than the model reads",
            "wrote": "",
        }
    most = min(1_000, 8 + 2 * session.count(truth))
    made = session.generate(prompt, Sampling(max_tokens=most))
    wrote = made.text.strip().partition("\n")[0]
    return {"right": _level(wrote) == _level(truth), "why": "", "wrote": wrote[:200]}


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
