"""Fits what candidates are weighed by: python -m bench.weights extract|choose [--items N].

A conditional logit by Newton's method, with a small penalty, on the tune split and on what was held
out once and is not any more (`spent`). Prints lines for weights.yaml; then, from what weights
fitted without its kind of thing say of each item, lines for confidence.yaml. Held-out items are
never read here. Clues are read with quick arithmetic; `--rows FILE` keeps them, so that fitting
again reads nothing.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import yaml

from bench.confidence import fitted
from pockethive.configs.home import default_home
from pockethive.inference import DEFAULT_MODEL, find_bundle, usable_cores
from pockethive.inference.answers import option_clues
from pockethive.inference.bundle import open_bundle
from pockethive.inference.clues import name_share
from pockethive.inference.finding import candidates, flat, read_sentences, sentence_clues
from pockethive.inference.measures import calibration_error, reliability, same, token_f1
from pockethive.inference.session import Session
from pockethive.inference.tasks import Item, Split, task_set
from pockethive.inference.weighing import log_odds, shares

_PENALTY = 0.3
_SURE_PENALTY = 1.0  # few items for some
_STEPS = 60
_SCALE: Final[Mapping[str, float]] = {"gain": 5.0, "likely": 5.0, "asked": 5.0, "length": 3.0}
_SPLITS: Final[tuple[Split, ...]] = ("tune", "spent")
_WORDS = Path(__file__).parent / "taskset_words.yaml"

Clues = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One choice: its weights' name, its group, the candidates, which is right, which is wholly."""

    name: str
    group: str
    clues: Sequence[Clues]
    right: int
    whole: Sequence[bool]


def fit(rows: Sequence[Row]) -> dict[str, float]:
    """Weights under which the right candidates are likeliest, but for the penalty."""
    names = sorted({name for row in rows for clue in row.clues for name in clue})
    scale = np.array([_SCALE.get(name, 1.0) for name in names])
    given = [np.array([[c.get(n, 0.0) for n in names] for c in r.clues]) / scale for r in rows]
    weights = np.zeros(len(names))
    for _ in range(_STEPS):
        slope, curve = _PENALTY * weights, _PENALTY * np.eye(len(names))
        for clues, row in zip(given, rows, strict=True):
            sums = clues @ weights
            share = np.exp(sums - sums.max())
            share /= share.sum()
            mean = share @ clues
            slope = slope + mean - clues[row.right]
            curve = curve + (clues * share[:, None]).T @ clues - np.outer(mean, mean)
        weights = weights - np.linalg.solve(curve, slope)
    return {n: round(float(w), 4) for n, w in zip(names, weights / scale, strict=True)}


def unseen(rows: Sequence[Row]) -> list[tuple[float, bool, bool]]:
    """Of each row, by weights fitted on other groups: log-odds, wholly right, "none" chosen."""
    told = []
    for group in sorted({row.group for row in rows}):
        weights = fit([row for row in rows if row.group != group])
        for row in (row for row in rows if row.group == group):
            given = shares(weights, row.clues)
            best = max(range(len(given)), key=given.__getitem__)
            told.append((log_odds(given[best]), row.whole[best], "none" in row.clues[best]))
    return told


def extract_rows(model: Session, item: Item, group: str) -> list[Row]:
    """The choice of a sentence, and that of a phrase."""
    passage, asked, right = item["passage"], flat(item["question"]), item["right"]
    spans = read_sentences(passage)
    found = model.run(sentence_clues(model.works, passage, spans, asked))
    texts = [passage[slice(*span)] for span in spans]
    told = [i for i, text in enumerate(texts) if right and right in text]
    told = [i for i in told if name_share(asked, texts[i]) == 1] or told
    rows = []
    if told:
        rows.append(Row("sentence", group, found, told[0], [i in told for i in range(len(texts))]))
    places, clues = model.run(candidates(model.works, passage, asked))
    near = [
        token_f1(passage[slice(*span)], right) if number in told else 0.0 for span, number in places
    ]
    best = max(range(len(near)), key=near.__getitem__, default=0)
    if not right or (near and near[best] > 0):
        whole = [not right, *(same(passage[slice(*span)], right) for span, _ in places)]
        rows.append(Row("phrase", group, [{"none": 1.0}, *clues], best + 1 if right else 0, whole))
    return rows


def choose_rows(model: Session, item: Item, group: str) -> list[Row]:
    """The choice of an option."""
    name, clues = model.run(
        option_clues(model.works, flat(item["question"]), item["options"], item.get("text", ""))
    )
    whole = [number == item["right"] for number in range(len(clues))]
    return [Row(name, group, clues, item["right"], whole)]


ROWS: Final[Mapping[str, Callable[[Session, Item, str], list[Row]]]] = {
    "extract": extract_rows,
    "choose": choose_rows,
}


def group_of(question: str, number: int) -> str:
    """The kind of thing that a question names, or one of four."""
    for words in yaml.safe_load(_WORDS.read_text(encoding="utf-8")).values():
        for kind, told in words["kinds"].items():
            if any(name in question for name in told["names"]):
                return str(kind)
    return str(number % 4)


def gathered(primitive: str, options: argparse.Namespace) -> list[Row]:
    """All rows, from the file if it is there."""
    if options.rows and options.rows.exists():
        return [Row(**each) for each in map(orjson.loads, options.rows.read_bytes().splitlines())]
    folder = find_bundle(DEFAULT_MODEL, "int8", options.home)
    assert folder is not None, "make model"
    model = Session(open_bundle(folder), threads=usable_cores(), arithmetic="quick")
    rows = []
    for split in _SPLITS:
        for number, item in enumerate(task_set(primitive, split).items[: options.items]):
            rows += ROWS[primitive](model, item, group_of(item["question"], number))
    if options.rows:
        options.rows.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return rows


def tell(name: str, rows: Sequence[Row]) -> None:
    """Print what was fitted for one name, and how it does on kinds that it was not fitted on."""
    print(f"  {name}: {fit(rows)}")
    told = unseen(rows)
    parts: dict[str, list[Any]] = {name: told}
    if name == "phrase":
        parts = {
            "extract": [x for x in told if not x[2]],
            "extract_none": [x for x in told if x[2]],
        }
    for part, seen in parts.items():
        weights = fitted(
            [[odds] for odds, _, _ in seen], [right for _, right, _ in seen], _SURE_PENALTY
        )
        sure = [1 / (1 + np.exp(-weights[0] - weights[1] * odds)) for odds, _, _ in seen]
        ece = calibration_error(reliability(sure, [float(right) for _, right, _ in seen]))
        share = f"{sum(right for _, right, _ in seen)} of {len(seen)} right"
        print(f"    sure: {part}: {weights}  # {share}, calibration error {ece:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.weights", description=__doc__)
    parser.add_argument("primitive", choices=ROWS)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--items", type=int, default=300, help="of each split, the first ones")
    parser.add_argument("--rows", type=Path, help="where clues are kept")
    options = parser.parse_args()
    rows = gathered(options.primitive, options)
    for name in sorted({row.name for row in rows}):
        tell(name, [row for row in rows if row.name == name])


if __name__ == "__main__":
    main()
