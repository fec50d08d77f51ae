"""Fits the weights of each primitive's confidence on the tune split: python -m bench.confidence.

Logistic regression of "wholly right" on the evidence that answers.py gives, with a small penalty
(Platt 1999 smooths the targets for the same end). Prints lines for confidence.yaml. Held-out items
are never read here.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pockethive.configs.home import default_home
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.evaluation import marks
from pockethive.inference.tasks import task_set

_PENALTY = 0.01
_STEPS = 100
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.confidence", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--primitive", choices=FITTED_HERE, action="append")
    options = parser.parse_args()
    model = open_model(DEFAULT_MODEL, options.home)
    for primitive in options.primitive or FITTED_HERE:
        found = marks(task_set(primitive, "tune"), model)
        weights = fitted([each.evidence for each in found], [each.right for each in found])
        share = sum(each.right for each in found)
        print(f"  {primitive}: {weights}  # {share} of {len(found)} right", flush=True)


if __name__ == "__main__":
    main()
