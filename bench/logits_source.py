"""Logits of transformers, in float32, for `bench.logits`: run in the model workshop's environment.

`python logits_source.py JOB`: JOB is a JSON file with `source` (a folder), `gguf` (a file in it),
`ids`, `into` (a .npy file) and `weights`: by the name of such a file, a folder of .npy files that
take the place of the weights of their name. Imports nothing of PocketHive.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(job_path: str) -> None:
    """Do one job: the source's own weights first, then those of each folder in their place."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # in the workshop
    from transformers import AutoModelForCausalLM  # type: ignore[import-not-found,unused-ignore]

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    torch.set_num_threads(2)
    options = {"gguf_file": job["gguf"]} if job["gguf"] else {}
    model = AutoModelForCausalLM.from_pretrained(job["source"], dtype=torch.float32, **options)
    model.eval()

    def read(into: str) -> None:
        with torch.inference_mode():
            np.save(into, model(torch.tensor([job["ids"]])).logits[0].numpy())

    read(job["into"])
    for into, folder in job["weights"].items():
        _replace(model, Path(folder))
        read(into)


def _replace(model: Any, folder: Path) -> None:
    """Put weights in place. Raises KeyError for a name that the model does not have."""
    import torch

    own = model.state_dict()
    with torch.no_grad():
        for path in sorted(folder.glob("*.npy")):
            own[path.stem].copy_(torch.from_numpy(np.load(path)))


if __name__ == "__main__":
    main(sys.argv[1])
