"""Fits the weights of each primitive's confidence on the tune split: python -m bench.confidence.

Logistic regression of "wholly right" on the evidence that answers.py gives, with a small penalty
(Platt 1999 smooths the targets for the same end). `finding`, how sure the skill `rank` is, is
fitted on the development questions about documents. Prints lines for confidence.yaml. Held-out
items are never read here.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.research import QUESTIONS, Bench, Remembering, Tally, found_by, ranked_by, seated
from pockethive.actors.skills.rank import lead
from pockethive.configs.home import default_home
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.evaluation import marks
from pockethive.inference.tasks import Split, task_set

_PENALTY = 0.01
_FEW = 1.0  # where few went wrong
_STEPS = 100
DEVELOPMENT = QUESTIONS.with_name("language_reference_dev.json")
SPLITS: Final[Mapping[str, tuple[Split, ...]]] = {
    "fill": ("tune", "spent"),
    "compress": ("tune", "spent"),
}
FITTED_HERE = ("label", "rank", "fill", "compress")  # the others: bench/weights.py


def fitted(
    evidence: Sequence[Sequence[float]], right: Sequence[bool], penalty: float = _PENALTY
) -> list[float]:
    """Weights by Newton's method, the first for a one put before the evidence."""
    given = np.array([[1.0, *each] for each in evidence])
    wanted = np.array(right, float)
    weights = np.zeros(given.shape[1])
    for _ in range(_STEPS):
        said = 1 / (1 + np.exp(-np.clip(given @ weights, -30, 30)))
        slope = given.T @ (said - wanted) + penalty * weights
        curve = (given.T * (said * (1 - said))) @ given + penalty * np.eye(len(weights))
        weights = weights - np.linalg.solve(curve, slope)
    return [round(float(each), 4) for each in weights]


def finding_rows(model: Any) -> tuple[list[list[float]], list[bool]]:
    """The lead of the first finding of each development question that has one; if it is right."""
    told = json.loads(DEVELOPMENT.read_text(encoding="utf-8"))
    asked = [*told["answerable"], *({"question": q, "sources": []} for q in told["unanswerable"])]
    given: list[list[float]] = []
    right: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        bench: Bench = seated(Path(folder), Remembering(model))
        for item in asked:
            found = found_by(bench, item["question"], Tally())
            candidates = ranked_by(bench, item["question"], found, Tally())["candidates"]
            if candidates:
                given.append([lead([each["score"] for each in candidates])])
                right.append(candidates[0]["finding"]["source"] in item["sources"])
    return given, right


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.confidence", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--primitive", choices=(*FITTED_HERE, "finding"), action="append")
    options = parser.parse_args()
    model = open_model(DEFAULT_MODEL, options.home)
    for primitive in options.primitive or (*FITTED_HERE, "finding"):
        if primitive == "finding":
            weights, right = fitted_findings(model)
        else:
            splits = SPLITS.get(primitive, ("tune",))
            found = [mark for split in splits for mark in marks(task_set(primitive, split), model)]
            right = [each.right for each in found]
            penalty = _FEW if len(splits) > 1 else _PENALTY
            weights = fitted([each.evidence for each in found], right, penalty)
        print(f"  {primitive}: {weights}  # {sum(right)} of {len(right)} right", flush=True)


def fitted_findings(model: Any) -> tuple[list[float], list[bool]]:
    """Weights for the lead of a finding, with a larger penalty: the questions are few."""
    given, right = finding_rows(model)
    return fitted(given, right, _FEW), right


if __name__ == "__main__":
    main()
