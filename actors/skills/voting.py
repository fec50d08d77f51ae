"""Micro-steps of a long job, voted on by devices until one option is ahead by k.

`cast_votes` asks this device's model and draws votes by what it makes of each option;
`count_votes` reads the votes of all devices in turn and takes the first option that leads every
other by k. Rule guarded here: a job is what its family makes of a seed and a length, without its
origin, so no skill can ask for the truth; votes are drawn by (salt, step, device, number), so
nobody chooses his luck.

Both read the params `job` ("labels, seed 1, length 40") and `at_once` (steps of a round);
`cast_votes` also `draws` (votes a device has for each step) and `salt`, `count_votes` also `ahead`
(k). Inputs: the last count, and for `count_votes` what was cast.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from pockethive.actors.skill import Finding, Product, Tools, Work, model_for
from pockethive.core.canonical import same
from pockethive.core.errors import BadInput
from pockethive.core.ports import ChoiceForm, Model
from pockethive.trials.ahead import count, in_turn
from pockethive.trials.families import family as family_of
from pockethive.trials.family import Family, Job, Step
from pockethive.trials.forms import asked, drawn, drawn_way, forms_of, lot, shares, unasked
from pockethive.trials.progress import Progress, begun, gone_on, read, undecided

FORMAT: Final = 1
MOST_STEPS: Final = 256  # of a round
MOST_DRAWS: Final = 64  # votes of a device for a step
MOST_LENGTH: Final = 100_000
_JOB: Final = re.compile(r"([a-z-]{1,32}), seed (\d{1,18}), length (\d{1,6})")
_NONSENSE: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(MemoryError, RuntimeError, TypeError, ValueError),
)
_MOST_SPENT: Final = 2**40
_SPENT: Final = ("steps", "votes", "blank", "undecided", "model")


@dataclass(frozen=True, slots=True)
class Table:
    """What the params of a task say, and where the job is."""

    family: Family
    job: Job
    progress: Progress
    steps: tuple[Step, ...]
    spent: Mapping[str, int]


class Cast:
    """A device's votes on a round's steps. Its value: `{"v", "votes": {step: [place, …]}}`."""

    name = "cast_votes"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Ask the model and draw. A vote is an option's place, or -1 where it holds back."""
        model = model_for("voting", work, tools)
        table, ballot = table_of(work), Ballot(model)
        draws = _whole(work, "draws", (1, MOST_DRAWS), 1)
        salt = str(work.params.get("salt", ""))
        votes = {
            step.id: [ballot.vote(step, f"{salt} {work.device}", number) for number in range(draws)]
            for step in table.steps
        }
        value = {"v": FORMAT, "votes": votes, "asked": ballot.asked}
        return Product(value=value, prompt_tokens=ballot.tokens)


class Ballot:
    """Draws votes by one model; what it was asked once is not asked again."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}
        self.asked = 0
        self.tokens = 0

    def vote(self, step: Step, who: str, number: int) -> int:
        """The place of an option, or -1."""
        chance = lot(0, step, who, number)
        option = drawn(step, self.chances(step, drawn_way(step, chance)), chance)
        return -1 if option is None else step.options.index(option)

    def chances(self, step: Step, way: ChoiceForm) -> tuple[float, ...]:
        """What the model makes of a step's options, asked in one way."""
        calibration = forms_of(step).calibration
        put, bare = asked(step, way), unasked(step, way)
        untold = self._score(bare.prompt, bare.options) if calibration.prior else ()
        return shares(self._score(put.prompt, put.options), untold, calibration)

    def _score(self, prompt: str, options: tuple[str, ...]) -> tuple[float, ...]:
        found = self._known.get((prompt, options))
        if found is None:
            found = self._known[prompt, options] = self._model.score(prompt, options)
            self.asked += 1
            self.tokens += self._model.count(prompt)
        return found


class Count:
    """Counts a round's votes. Its value: the progress, what was spent, at the end the answer."""

    name = "count_votes"
    needs_model = False

    def run(self, work: Work, tools: Tools) -> Product:  # noqa: ARG002 nothing of it is needed
        """Count the votes of all devices."""
        return Product(value=counted(work))


class Counted:
    """A count is what this device counts of the same votes. Pure."""

    name = "counted"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:  # noqa: ARG002
        """Judge an output of `count_votes` by counting again."""
        if not same(value, counted(work)):
            return Finding(accept=False, reason="counted again it is another one")
        return Finding(accept=True, reason="counted again it is the same")


class Ballots:
    """Votes are votes: as many as were wanted, for options of the steps in question. Pure.

    Whether the model means them is not checked: a device that votes otherwise is outvoted.
    """

    name = "ballots"
    needs_model = False

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:  # noqa: ARG002
        """Judge an output of `cast_votes` by its form."""
        table, draws = table_of(work), _whole(work, "draws", (1, MOST_DRAWS), 1)
        paper = paper_of(value, table.steps)
        if paper is None or paper.draws not in (0, draws):
            return Finding(accept=False, reason="not the votes that were asked for")
        return Finding(accept=True, reason=f"{draws} votes on each of {len(table.steps)} steps")


def table_of(work: Work) -> Table:
    """What a task is about. Raises BadInput for params that make no job."""
    family, job = _job(work)
    last = _last(work)
    progress = begun(family, job) if last is None else read(last["progress"])
    at_once = _whole(work, "at_once", (1, MOST_STEPS), 1)
    with _of_this_job(work):
        steps = undecided(family, job, progress, at_once)
    spent = dict.fromkeys(_SPENT, 0) if last is None else _spent(last.get("spent"))
    return Table(family, job, progress, steps, spent)


def counted(work: Work) -> dict[str, Any]:
    """The value of `count_votes`: a function of params and inputs."""
    table, ahead = table_of(work), _whole(work, "ahead", (1, MOST_DRAWS), 1)
    cast = (paper_of(each, table.steps) for each in work.beside)
    papers = _alike([each for each in cast if each is not None])
    choices, spent = {}, dict(table.spent)
    for step in table.steps:
        votes = list(in_turn([each.choices[step.id] for each in papers]))
        end = count(votes, ahead, max(1, len(votes)))
        spent["votes"] += end.read
        spent["blank"] += end.blank
        if end.leader is not None:
            spent["steps"] += 1
            spent["undecided"] += not end.decided
            choices[step.id] = end.leader
    spent["model"] += sum(each.asked for each in papers)
    value = {"v": FORMAT, "spent": spent}
    with _of_this_job(work):
        progress = (
            gone_on(table.family, table.job, table.progress, choices) if choices else table.progress
        )
        value["progress"] = progress.told()
        if not table.family.steps(table.job, progress.state):
            value["answer"] = table.family.answer(table.job, progress.state)
    return value


@contextmanager
def _of_this_job(work: Work) -> Iterator[None]:
    """Families trust their own states; one that others made up is refused, whatever it breaks."""
    try:
        yield
    except _NONSENSE as error:
        raise BadInput("the last count is of no state of this job", where=work.name) from error


@dataclass(frozen=True, slots=True)
class Paper:
    """What one device cast: options by step (None: it held back), `draws` for each; and how often
    it asked its model."""

    choices: Mapping[str, tuple[str | None, ...]]
    draws: int
    asked: int


def paper_of(value: Any, steps: Sequence[Step]) -> Paper | None:
    """An output of `cast_votes` for these steps, or None when it is none."""
    votes = value.get("votes") if isinstance(value, Mapping) else None
    if not isinstance(votes, Mapping) or value.get("v") != FORMAT:
        return None
    if set(votes) != {step.id for step in steps}:
        return None
    found: dict[str, tuple[str | None, ...]] = {}
    for step in steps:
        places = votes[step.id]
        if not isinstance(places, list) or not 1 <= len(places) <= MOST_DRAWS:
            return None
        if not all(type(each) is int and -1 <= each < len(step.options) for each in places):
            return None
        found[step.id] = tuple(None if each < 0 else step.options[each] for each in places)
    draws = max(map(len, found.values()), default=0)
    asked = value.get("asked")  # for a vote twice at most: with what is told, and without
    if type(asked) is not int or not 0 <= asked <= 2 * draws * len(steps):
        return None
    return Paper(found, draws, asked) if all(len(e) == draws for e in found.values()) else None


def _alike(papers: Sequence[Paper]) -> list[Paper]:
    """Those with as many votes as most have: nobody votes more often than the others."""
    sizes = Counter(each.draws for each in papers)
    usual = min(sizes, key=lambda size: (-sizes[size], size), default=0)
    return [each for each in papers if each.draws == usual]


def _job(work: Work) -> tuple[Family, Job]:
    """The family and the job, whose truth nobody can ask for."""
    told = _JOB.fullmatch(str(work.params.get("job", "")).strip())
    if told is None:
        raise BadInput(
            f"no job {work.params.get('job')!r}",
            where=work.name,
            cure="such as 'labels, seed 1, length 40'",
        )
    family = family_of(told[1])
    if not 1 <= int(told[3]) <= MOST_LENGTH:
        raise BadInput(f"a job of length {told[3]}", where=work.name, cure=f"1 to {MOST_LENGTH}")
    return family, replace(family.job(int(told[2]), int(told[3])), origin=None)


def _last(work: Work) -> Mapping[str, Any] | None:
    """The count of the round before, if there was one."""
    counts = (each for each in work.before if isinstance(each, Mapping) and "progress" in each)
    return next(counts, None)


def _spent(told: Any) -> dict[str, int]:
    """What rounds before took. Raises BadInput for anything else."""
    if not isinstance(told, Mapping) or set(told) != set(_SPENT):
        raise BadInput("what was spent on a job is told in another form", cure="update PocketHive")
    if not all(type(each) is int and 0 <= each <= _MOST_SPENT for each in told.values()):
        raise BadInput("what was spent on a job is no count")
    return dict(told)


def _whole(work: Work, name: str, bounds: tuple[int, int], usual: int | None = None) -> int:
    """A parameter that is a whole number, or the text of one. Raises BadInput."""
    value = work.params.get(name, usual)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if type(value) is not int or not bounds[0] <= value <= bounds[1]:
        raise BadInput(
            f"{name} is {value!r}",
            where=work.name,
            cure=f"a whole number from {bounds[0]} to {bounds[1]}",
        )
    return value
