"""What a skill and a checker are: plain classes, called on an agent's thread.

Rule guarded here: a skill sees what it was handed and nothing else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pockethive.core.errors import SkillFailure
from pockethive.core.ports import Model, VerifySignature

if TYPE_CHECKING:
    from pockethive.actors.documents.index import DocumentIndex
    from pockethive.actors.documents.nearness import Nearness

_ROUND: Final = re.compile(r"round-\d+\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One task as its worker or verifier sees it. `device` is the worker's.

    `remarks`: why the run's owner rejected earlier outputs of it, in his words, the latest last.
    """

    task: str
    name: str
    skill: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Any]  # name of the source task -> its committed output value
    device: str
    remarks: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[Any, ...]:
        """Inputs of an earlier round, in the order of their names; all where there are no rounds.

        Names are of the run's owner, values of whoever worked: a device cannot say that its output
        was the last one of the round before.
        """
        return self._inputs(same_round=False)

    @property
    def beside(self) -> tuple[Any, ...]:
        """Inputs of this round, in the order of their names; all where there are no rounds."""
        return self._inputs(same_round=True)

    def _inputs(self, *, same_round: bool) -> tuple[Any, ...]:
        mine = round_of(self.name)
        return tuple(
            value
            for name, value in sorted(self.inputs.items())
            if not mine or (round_of(name) == mine) is same_round
        )


def round_of(name: str) -> str:
    """The round that a task's name tells (`planners/template.py`), or "" where there are none."""
    found = _ROUND.match(name)
    return "" if found is None else found.group()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a skill made. `value` has a canonical form: no floats."""

    value: Any
    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a skill may use on this device. `nearness`: where a model for it is."""

    model: Model | None
    documents: "DocumentIndex | None"
    sign: Callable[[bytes], bytes]
    verify: VerifySignature
    nearness: "Nearness | None" = None


def model_for(doing: str, work: Work, tools: Tools) -> Model:
    """This device's model; `doing` says what for. Raises SkillFailure where there is none."""
    if tools.model is None:
        raise SkillFailure(f"{doing} needs a model", where=work.name)
    return tools.model


def documents_of(work: Work, tools: Tools) -> "DocumentIndex":
    """This device's documents. Raises SkillFailure where there are none."""
    if tools.documents is None:
        raise SkillFailure(
            "this device has no documents", where=work.name, cure="start it with --documents"
        )
    return tools.documents


@dataclass(frozen=True, slots=True)
class Finding:
    """A checker's judgement and, in a few words, why."""

    accept: bool
    reason: str


class Skill(Protocol):
    """Something an agent can do.

    One that has a method `canonical(value)` says what its value is reduced to where its work is
    voted on (`recompute`), so that answers which mean the same are the same.
    """

    name: str
    needs_model: bool

    def run(self, work: Work, tools: Tools) -> Product:
        """Do the work. Raises SkillFailure or ModelError."""


def canonical(skill: Skill, value: Any) -> Any:
    """What of a skill's value is compared, and committed, where its work is voted on."""
    reduce = getattr(skill, "canonical", None)
    return value if reduce is None else reduce(value)


class Checker(Protocol):
    """Something a verifier can examine."""

    name: str
    needs_model: bool

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge `value`, the output of `work`. Raises SkillFailure when it cannot be judged."""
