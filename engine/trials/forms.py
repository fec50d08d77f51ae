"""How a micro-step is put to a model, and how a vote is drawn from what the model makes of it.

The ways to ask are package data, `forms.yaml`. Guards: a vote depends on the likelihoods and on
(run seed, step, device, number of the vote) alone, so it can be drawn again by whoever checks it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from math import exp
from random import Random
from typing import Any

import yaml

from pockethive.core.errors import BadInput
from pockethive.core.forms import fill_places, fill_template
from pockethive.core.ports import ChoiceForm
from pockethive.trials.family import Step

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """From nats to chances: softmax(sharpness * (asked - prior * unasked)).

    `unasked` are an option's nats where every place holds "N/A" (Zhao et al. 2021). A vote is
    blank when the best option has less than `least`.
    """

    sharpness: float = 1.0
    prior: float = 0.0
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Forms:
    """Several ways to ask the same."""

    ways: tuple[ChoiceForm, ...]
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model is given to score: `options` as they stand after `prompt`."""

    prompt: str
    options: tuple[str, ...]


@cache
def forms() -> Mapping[str, Forms]:
    """All of forms.yaml. Raises BadInput when the package data is of another version."""
    data = yaml.safe_load((files(__package__) / "forms.yaml").read_text(encoding="utf-8"))
    if data.get("format") != _FORMAT:
        raise BadInput(
            f"forms.yaml has format {data.get('format')}, this program reads {_FORMAT}",
            cure="install pockethive again",
        )
    return {name: _forms(name, told) for name, told in data["forms"].items()}


def forms_of(step: Step) -> Forms:
    """The ways to ask a step. Raises BadInput for a form nobody wrote."""
    found = forms().get(step.form)
    if found is None:
        raise BadInput(
            f"no form {step.form!r}", where=step.id, cure=f"one of {', '.join(sorted(forms()))}"
        )
    return found


def asked(step: Step, way: ChoiceForm) -> Asked:
    """A step, put in one way. Raises BadInput when a place of the form is not given."""
    return Asked(fill_places(way, step.places), _endings(step, way))


def unasked(step: Step, way: ChoiceForm) -> Asked:
    """The same with nothing in its places: what the options are worth without a question."""
    return Asked(fill_places(way, dict.fromkeys(step.places, way.null)), _endings(step, way))


def shares(
    told: Sequence[float], untold: Sequence[float], calibration: Calibration
) -> tuple[float, ...]:
    """The chance of each option, of its nats when asked and when not; `untold` may be empty."""
    if calibration.prior and len(untold) != len(told):
        raise BadInput(f"{len(untold)} priors for {len(told)} options")
    taken = (
        [calibration.prior * nats for nats in untold] if calibration.prior else [0.0] * len(told)
    )
    made = [calibration.sharpness * (t - u) for t, u in zip(told, taken, strict=True)]
    best = max(made)
    weights = [exp(each - best) for each in made]
    total = sum(weights)
    return tuple(each / total for each in weights)


def lot(seed: int, step: Step, device: str, number: int) -> Random:
    """What draws one vote: first its way of asking, then its option."""
    return Random(f"{seed} {step.id} {device} {number}")  # noqa: S311


def drawn_way(step: Step, chance: Random) -> ChoiceForm:
    """One of the ways to ask a step."""
    return chance.choice(forms_of(step).ways)


def drawn(step: Step, chances: Sequence[float], chance: Random) -> str | None:
    """An option, each as often as its chance says, or None when the best one's is below `least`."""
    if max(chances) < forms_of(step).calibration.least:
        return None
    at = chance.random()
    sums = accumulate(chances)
    return next((o for o, s in zip(step.options, sums, strict=True) if at < s), step.options[-1])


def _endings(step: Step, way: ChoiceForm) -> tuple[str, ...]:
    return tuple(f"{way.lead}{option}{way.end}" for option in step.options)


def _forms(name: str, told: Mapping[str, Any]) -> Forms:
    rows = [dict(zip(told["places"], map(str, row), strict=True)) for row in told["examples"]]
    ways = tuple(_way(name, rows, each) for each in told["ways"])
    return Forms(ways, Calibration(**told.get("calibration", {})))


def _way(name: str, rows: Sequence[Mapping[str, str]], told: Mapping[str, Any]) -> ChoiceForm:
    """Examples, in the order that this way has them, filled into its own template."""
    lead, end = told.get("lead", " "), told.get("end", "\n")
    between, template = told.get("between", ""), told["template"]
    order = list(rows) * told.get("repeat", 1)
    if "shuffle" in told:
        Random(told["shuffle"]).shuffle(order)  # noqa: S311
    shots = told.get("opening", "")
    for row in order:
        filled = fill_template(template, row, f"{name} {told['name']}")
        shots += f"{filled}{lead}{row['answer']}{end}{between}"
    return ChoiceForm(name=told["name"], shots=shots, template=template, lead=lead, end=end)
