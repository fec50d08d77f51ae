"""What a model's primitives are worth on frozen task sets, and the file that says so.

`accuracy.json` stands beside the card and names it by hash, with the hashes of the task set and the
prompt forms: a figure counts only for what was measured. Guards: what counts is the 95 % lower
bound on items that nothing was tuned on; a file that does not fit its model says nothing.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pockethive.core.errors import BadInput, ModelError
from pockethive.core.ports import Answer, Model
from pockethive.inference.accuracy import lower_bound
from pockethive.inference.answer_forms import forms_sha256
from pockethive.inference.bundle import Bundle
from pockethive.inference.measures import (
    Bin,
    calibration_error,
    mean_bound,
    reliability,
    same,
    token_f1,
)
from pockethive.inference.tasks import FROZEN, Item, TaskSet

log = logging.getLogger(__name__)

ACCURACY: Final = "accuracy.json"
_FORMAT: Final = 1
_MOST_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Marked:
    """One item's answer: `right` is whether it is wholly right, `score` 0 to 1 how far."""

    kind: str
    right: bool
    score: float
    confidence: float
    evidence: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a primitive reached. `low`: lower end of the 95 % interval of `right`/`items`.

    `score` is the mean score (token F1 of `extract`, share of fields or facts), `score_low` its
    bound; `ece` the expected calibration error of the confidence that an answer is wholly right.
    """

    primitive: str
    measure: str
    items: int
    right: int
    low: float
    score: float
    score_low: float
    ece: float
    bins: tuple[Bin, ...]
    kinds: Mapping[str, tuple[int, int]]
    task_set: str
    forms: str


MEASURES: Final = {
    "choose": "right of four options",
    "label": "right of four labels",
    "extract": "exact span; score is token F1",
    "rank": "the answering passage of six is first; score is 1/place",
    "fill": "all three fields; score is the share of fields",
    "compress": "all three facts kept within the budget; score is the share of facts",
}


def answered(primitive: str, model: Model, item: Item) -> Answer:
    """What the model makes of one item."""
    if primitive == "choose":
        return model.choose(item["question"], item["options"], item.get("text", ""))
    if primitive == "label":
        return model.label(item["text"], item["options"])
    if primitive == "rank":
        return model.rank(item["question"], item["options"])
    if primitive == "extract":
        return model.extract(item["passage"], item["question"])
    if primitive == "fill":
        return model.fill(item["text"], item["fields"])
    return model.compress(item["text"], item["budget"])


def marked(primitive: str, item: Item, answer: Answer) -> Marked:
    """An answer beside what is right. Pure."""
    value, right = answer.value, item["right"]
    if primitive in ("choose", "label"):
        score = float(value == right)
    elif primitive == "rank":
        score = 1 / (1 + value.index(right))
    elif primitive == "extract":
        text = value.text if value else ""
        score = 1.0 if same(text, right) else min(0.999, token_f1(text, right))
    elif primitive == "fill":
        score = sum(same(value[name] or "", said) for name, said in right.items()) / len(right)
    else:
        score = sum(fact in value for fact in right) / len(right)
        score *= len(value) <= item["budget"]
    return Marked(item["kind"], score == 1.0, score, answer.confidence, answer.evidence)


def marks(
    tasks: TaskSet, model: Model, tell: Callable[[int], None] = lambda _: None
) -> list[Marked]:
    """Every item answered; `tell` is told how many are done. Minutes for three hundred."""
    found = []
    for item in tasks.items:
        found.append(marked(tasks.primitive, item, answered(tasks.primitive, model, item)))
        tell(len(found))
    return found


def measured(tasks: TaskSet, found: Sequence[Marked]) -> Measured:
    """The figures. Raises BadInput for fewer than two items."""
    scores = [each.score for each in found]
    bound = mean_bound(scores)
    bins = reliability([x.confidence for x in found], [float(x.right) for x in found])
    kinds = {}
    for kind in sorted({each.kind for each in found}):
        mine = [each.right for each in found if each.kind == kind]
        kinds[kind] = (sum(mine), len(mine))
    right = sum(each.right for each in found)
    return Measured(
        primitive=tasks.primitive,
        measure=MEASURES[tasks.primitive],
        items=len(found),
        right=right,
        low=lower_bound(right, len(found)),
        score=round(sum(scores) / len(scores), 4),
        score_low=bound,
        ece=round(calibration_error(bins), 4),
        bins=tuple(bins),
        kinds=kinds,
        task_set=tasks.sha256,
        forms=forms_sha256(tasks.primitive),
    )


def keep(bundle: Bundle, results: Sequence[Measured]) -> Path:
    """Write results beside the card; others measured with the same model and forms stay.

    Raises OSError, also where the disk is read-only.
    """
    kept = {each.primitive: each for each in kept_results(bundle)}
    kept |= {each.primitive: each for each in results}
    told = {
        "format": _FORMAT,
        "card": bundle.card.sha256,
        "runtime": bundle.model_class.runtime,
        "results": [asdict(kept[name]) for name in sorted(kept)],
    }
    path = bundle.folder / ACCURACY
    with tempfile.NamedTemporaryFile(dir=bundle.folder, delete=False) as stream:
        stream.write(orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        stream.flush()
        os.fsync(stream.fileno())
    Path(stream.name).replace(path)
    return path


def kept_results(bundle: Bundle) -> list[Measured]:
    """What was measured of just this model, on these sets, with these forms; else nothing."""
    path = bundle.folder / ACCURACY
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        return parsed(raw, bundle.card.sha256)
    except FileNotFoundError:
        return []
    except (OSError, ModelError) as error:
        log.warning("%s says nothing: %s", path, error)
        return []


def parsed(raw: bytes, card: str) -> list[Measured]:
    """The results in a file for the model of `card` that still count. Raises ModelError."""
    try:
        if len(raw) > _MOST_BYTES:
            raise ValueError(f"longer than {_MOST_BYTES} bytes")
        told = orjson.loads(raw)
        if told["format"] != _FORMAT:
            raise ValueError(f"version {told['format']!r}, this program reads {_FORMAT}")
        if told["card"] != card:
            raise ValueError("measured with another model")
        found = [_result(each) for each in told["results"]]
    except (ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
        raise ModelError(
            f"the measured accuracy cannot be used: {error}", cure="pockethive models eval"
        ) from error
    return [
        each
        for each in found
        if each.task_set == FROZEN.get(f"{each.primitive}.held")
        and each.forms == forms_sha256(each.primitive)
    ]


def _result(told: dict[str, Any]) -> Measured:
    fields = {
        **told,
        "bins": tuple(Bin(**each) for each in told["bins"]),
        "kinds": {str(kind): (int(a), int(b)) for kind, (a, b) in told["kinds"].items()},
    }
    found = Measured(**fields)
    counted = (found.items, found.right, found.low, found.score, found.score_low, found.ece)
    if not all(type(each) in (int, float) for each in counted):
        raise TypeError(f"a figure of {found.primitive} is no number")
    if found.low != lower_bound(found.right, found.items):
        raise ValueError(f"the bound of {found.primitive} is not that of its items")
    return found
