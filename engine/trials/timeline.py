"""Dated events of several documents, put into one timeline.

What the code knows: where the date stands in a sentence, what it means, and how to sort dates. What
the model decides: of each dated sentence, whether something happened then in a town, or whether it
only dates a document (a letter that was signed, a report that was printed), which is no event. The
length of a job is its sentences, about half of them events; each document has up to `PAGE`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from pockethive.core.errors import BadInput
from pockethive.trials.family import Job, State, Step, origin
from pockethive.trials.programme import Programme, Work, place, plain
from pockethive.trials.wordlists import of_split, words

PAGE: Final = 8
EVENT: Final = "town"
PAPER: Final = "document"
_DATE: Final = re.compile(r"\d{1,2} [A-Z][a-z]+ \d{4}")


@dataclass(frozen=True, slots=True)
class Timeline(Programme):
    """All events in the order of their dates, each as its document, its sentence and its date."""

    @property
    def name(self) -> str:
        """See `Family`."""
        return "timeline"

    def job(self, seed: int, length: int) -> Job:
        """See `Family`. Raises BadInput without sentences."""
        if length < 1:
            raise BadInput(f"{length} sentences", where=self.name, cure="give 1 at least")
        sentences = [sentence for sentence, _ in _made(seed, length)]
        documents = [sentences[at : at + PAGE] for at in range(0, length, PAGE)]
        return Job(self.name, {"documents": documents}, (seed, length))

    def start(self, job: Job) -> State:  # noqa: ARG002
        """See `Programme`."""
        return {"kinds": None}

    def unit(self, job: Job, at: State) -> Work[State] | None:
        """See `Programme`: all sentences of all documents in one round."""
        return self._read(job) if at["kinds"] is None else None

    def said(self, job: Job, at: State) -> str:
        """See `Programme`."""
        return _ordered(_sentences(job), at["kinds"])

    def truth(self, job: Job) -> str:
        """See `Family`."""
        made = _made(*origin(job))
        return _ordered([sentence for sentence, _ in made], [kind for _, kind in made])

    def right(self, job: Job, step: Step) -> str:
        """See `Family`."""
        return _made(*origin(job))[place(step)][1]

    def _read(self, job: Job) -> Work[State]:
        chosen = yield tuple(
            Step("", "dated", {"sentence": sentence}, (EVENT, PAPER))
            for sentence in _sentences(job)
        )
        return {"kinds": list(chosen)}


def _sentences(job: Job) -> list[str]:
    return [sentence for document in plain(job, "documents") for sentence in document]


def _made(seed: int, length: int) -> list[tuple[str, str]]:
    """Sentences, and what each is about."""
    chance, told = Random(f"timeline {seed} {length}"), words("timeline")  # noqa: S311
    made = []
    for _ in range(length):
        kind = chance.choice((EVENT, PAPER))
        day, year = chance.randint(1, 28), chance.randint(1850, 1990)
        places = {
            **{
                name: chance.choice(of_split(told[f"{name}s"], seed))
                for name in ("event", "paper", "verb", "town")
            },
            "date": f"{day} {chance.choice(told['months'])} {year}",
        }
        sentences = told["happened" if kind == EVENT else "written"]
        made.append((chance.choice(of_split(sentences, seed)).format(**places), kind))
    return made


def _when(sentence: str) -> tuple[tuple[int, int, int], str]:
    found = _DATE.search(sentence)
    if found is None:
        raise BadInput(f"no date in {sentence!r}", where="timeline", cure="give dated sentences")
    day, month, year = found[0].split(" ")
    return (int(year), words("timeline")["months"].index(month), int(day)), found[0]


def _ordered(sentences: Sequence[str], kinds: Sequence[str]) -> str:
    rows = [
        (*_when(sentence), at)
        for at, (sentence, kind) in enumerate(zip(sentences, kinds, strict=True))
        if kind == EVENT
    ]
    return "; ".join(
        f"{at // PAGE + 1}.{at % PAGE + 1} {date}"
        for _, date, at in sorted(rows, key=lambda row: (row[0], row[2]))
    )
