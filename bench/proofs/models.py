"""What a local model promises: numbers that are right, and memory that does not grow."""

import os
import sys

from bench.proofs.running import run


def logits() -> None:
    """Logits beside transformers in float32, one way beside another. Needs the workshop, int4."""
    home = os.environ.get("WORKSHOP_HOME")
    options = ["--home", home] if home else []
    print(run(sys.executable, "-m", "bench.logits", *options, seconds=3_600))


def model_soak() -> None:
    """Sixteen agents ask one model for anything for half an hour: nothing grows, sticks, mixes."""
    print(run(sys.executable, "-m", "bench.model_soak", seconds=2 * 3_600))
