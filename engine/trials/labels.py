"""Hundreds of items of an inventory under labels, with the exact count of each label.

What the code knows: the labels, and how to count. What the model decides: the label of each item.
Items are words: of a thing in a sentence a small model is less sure what kind it is. The length of
a job is its items.
"""

from collections import Counter
from dataclasses import dataclass
from random import Random

from pockethive.core.errors import BadInput
from pockethive.trials.family import Job, State, Step, origin
from pockethive.trials.programme import Programme, Work, place, plain
from pockethive.trials.wordlists import of_split, words


@dataclass(frozen=True, slots=True)
class Labels(Programme):
    """How many items there are of each label."""

    @property
    def name(self) -> str:
        """See `Family`."""
        return "labels"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput without items."""
        if length < 1:
            raise BadInput(f"{length} items", where=self.name, cure="give 1 at least")
        items = [word for word, _ in _made(seed, length)]
        given = {"labels": list(words("labels")["labels"]), "items": items}
        return Job(self.name, given, (seed, length))

    def start(self, job: Job) -> State:  # noqa: ARG002
        """See `Programme`."""
        return {"counts": None}

    def unit(self, job: Job, at: State) -> Work[State] | None:
        """See `Programme`: all items in one round."""
        return self._sorted_out(job) if at["counts"] is None else None

    def said(self, job: Job, at: State) -> str:
        """See `Programme`."""
        return _told(plain(job, "labels"), at["counts"])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        counts = Counter(label for _, label in _made(*origin(job)))
        return _told(plain(job, "labels"), counts)

    def right(self, job: Job, step: Step) -> str:
        """See `Family`."""
        return _made(*origin(job))[place(step)][1]

    def _sorted_out(self, job: Job) -> Work[State]:
        labels = tuple(plain(job, "labels"))
        chosen = yield tuple(
            Step("", "label", {"item": item}, labels) for item in plain(job, "items")
        )
        return {"counts": dict(Counter(chosen))}


def _made(seed: int, length: int) -> list[tuple[str, str]]:
    """Items with their labels."""
    chance, told = Random(f"labels {seed} {length}"), words("labels")  # noqa: S311
    made = []
    for _ in range(length):
        label = chance.choice(list(told["labels"]))
        word = chance.choice(of_split(told["labels"][label], seed))
        made.append((word, label))
    return made


def _told(labels: list[str], counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {counts.get(label, 0)}" for label in labels)
