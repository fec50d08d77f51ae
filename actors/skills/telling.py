"""Which kind of fact a sentence tells or a question asks for: the model chooses among those named.

The kinds, with a few examples of each, are package data (`gathering.yaml`). An option counts by its
likelihood less a part of what it is worth without a text (Zhao et al. 2021, arXiv 2102.09690).
Rule guarded here: whoever reads the same text by the same model chooses the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import yaml

from pockethive.core.errors import BadInput
from pockethive.core.forms import fill_places, fill_template
from pockethive.core.ports import ChoiceForm, Model

NOTHING: Final = "nothing"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """What facts are of (`name`, or a noun before a number), and what they give.

    `by`: "place" or "value", where one may ask by these for all things. `dated`: a thing has
    several, told apart by the day.
    """

    name: str
    of: str
    gives: str
    label: str
    by: str = ""
    dated: bool = False


@dataclass(frozen=True, slots=True)
class Kinds:
    """All of gathering.yaml. `wanted`: shape and kind of a question -> how it is called."""

    kinds: Mapping[str, Kind]
    wanted: Mapping[str, str]
    says: ChoiceForm
    asks: ChoiceForm
    picks: ChoiceForm
    priors: Mapping[str, float]


@cache
def kinds() -> Kinds:
    """The package's own. Raises BadInput when its data is of another version."""
    told = yaml.safe_load((files(__package__) / "gathering.yaml").read_text(encoding="utf-8"))
    if told.get("format") != _FORMAT:
        raise BadInput(
            f"gathering.yaml has format {told.get('format')}, this program reads {_FORMAT}",
            cure="install pockethive again",
        )
    found = {name: Kind(name, **each) for name, each in told["kinds"].items()}
    wanted = told["asks"]["wanted"]
    return Kinds(
        kinds=MappingProxyType(found),
        priors=MappingProxyType({n: float(told[n]["prior"]) for n in ("says", "asks", "picks")}),
        wanted=MappingProxyType(wanted),
        says=_form("says", told, [({"text": t}, found[n].label) for n, t in _rows(told, "says")]),
        asks=_form("asks", told, [({"text": t}, wanted[n]) for n, t in _rows(told, "asks")]),
        picks=_form(
            "picks", told, [({"text": t, "question": q}, a) for t, q, a in _rows(told, "picks")]
        ),
    )


class Chooser:
    """Asks one model; what it was asked once is not asked again. Counts tokens and questions."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._unasked: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}
        self.tokens = 0
        self.asked = 0

    def kind(self, text: str, among: Sequence[str]) -> tuple[str, float]:
        """The kind of fact that a sentence tells, and nats ahead of the next one."""
        told = kinds()
        labels = [told.kinds[name].label for name in among]
        return self._best(told.says, {"text": text}, among, labels)

    def wanted(self, question: str, among: Sequence[str]) -> tuple[str, float]:
        """Shape and kind of what a question asks for, such as `sum-cargo`, and nats ahead."""
        told = kinds()
        return self._best(
            told.asks, {"text": question}, among, [told.wanted[name] for name in among]
        )

    def pick(self, text: str, question: str, phrases: Sequence[str]) -> str:
        """The phrase of a sentence that answers a question; one alone is not asked about."""
        places = {"text": text, "question": question}
        return self._best(kinds().picks, places, phrases, phrases)[0]

    def _best(
        self, form: ChoiceForm, places: Mapping[str, str], names: Sequence[str], said: Sequence[str]
    ) -> tuple[str, float]:
        if len(names) == 1:
            return names[0], 0.0
        options = tuple(f"{form.lead}{each}{form.end}" for each in said)
        key = (form.name, options)
        if key not in self._unasked:
            self.tokens += self._model.remember(form.shots)
            self._unasked[key] = self._score(form, dict.fromkeys(places, form.null), options)
        told, prior = self._score(form, places, options), kinds().priors[form.name]
        made = sorted(
            (
                (t - prior * u, -at)
                for at, (t, u) in enumerate(zip(told, self._unasked[key], strict=True))
            ),
            reverse=True,
        )
        return names[-made[0][1]], made[0][0] - made[1][0]

    def _score(
        self, form: ChoiceForm, places: Mapping[str, str], options: tuple[str, ...]
    ) -> tuple[float, ...]:
        self.asked += 1
        self.tokens += self._model.count(fill_template(form.template, places, form.name))
        return self._model.score(fill_places(form, places), options)


def _rows(told: Mapping[str, Any], name: str) -> Sequence[Sequence[str]]:
    return [tuple(map(str, row)) for row in told[name]["examples"]]


def _form(
    name: str, told: Mapping[str, Any], rows: Sequence[tuple[Mapping[str, str], str]]
) -> ChoiceForm:
    template = told[name]["template"]
    shots = "".join(f"{fill_template(template, p, name)} {answer}\n\n" for p, answer in rows)
    return ChoiceForm(name=name, shots=shots, template=template)
