"""How far a job is whose micro-steps are voted on, and how it goes on.

Pure. Guards: a job goes on only by choices that were counted; a step that nobody voted for is asked
again; what travels is checked before it is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pockethive.core.errors import BadInput
from pockethive.trials.family import Family, Job, State, Step

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """The family's state, and which of the steps that can be asked in it are decided, by id."""

    state: State
    decided: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """In values that travel."""
        return {"v": FORMAT, "state": dict(self.state), "decided": dict(self.decided)}


def begun(family: Family, job: Job) -> Progress:
    """Where a job starts."""
    return Progress(family.begin(job))


def undecided(family: Family, job: Job, progress: Progress, most: int) -> tuple[Step, ...]:
    """The next steps to vote on, at most so many; none when the job is done."""
    steps = family.steps(job, progress.state)
    return tuple(step for step in steps if step.id not in progress.decided)[:most]


def gone_on(family: Family, job: Job, progress: Progress, choices: Mapping[str, str]) -> Progress:
    """After choices by step id; once all steps of a state are decided, the next state.

    Raises BadInput for a step that cannot be asked now, or another option.
    """
    steps = {step.id: step for step in family.steps(job, progress.state)}
    for name, choice in choices.items():
        if name not in steps or choice not in steps[name].options:
            raise BadInput(f"{choice!r} is no option of step {name!r}", where=job.family)
    decided = {**progress.decided, **choices}
    if len(decided) < len(steps):
        return Progress(progress.state, decided)
    return Progress(family.apply(job, progress.state, [decided[name] for name in steps]))


def read(value: Any) -> Progress:
    """What `told` gave. Raises BadInput for anything else."""
    if not isinstance(value, Mapping) or value.get("v") != FORMAT:
        raise BadInput("not the progress of a job, or of another version", cure="update PocketHive")
    state, decided = value.get("state"), value.get("decided")
    if not isinstance(state, Mapping) or not isinstance(decided, Mapping):
        raise BadInput("the progress of a job lacks its state")
    if not all(isinstance(each, str) for pair in decided.items() for each in pair):
        raise BadInput("what is decided of a job is no text")
    return Progress(dict(state), dict(decided))
