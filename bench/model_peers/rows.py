"""Log-probabilities from logits, for run times that give no other."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def logprob(rows: Any, targets: Sequence[int]) -> float:
    """Sum over `rows` [tokens, vocabulary] of what each makes of its target, natural."""
    wide = np.asarray(rows, np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    chosen = wide[np.arange(len(wide)), list(targets)]
    return float((chosen - np.log(np.exp(wide).sum(axis=1))).sum())
