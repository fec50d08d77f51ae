"""A model of random weights as transformers saves one, for `bench.shapes`: run in the workshop.

`python shapes_source.py JOB`: JOB is a JSON file with `class` and `config` (names and arguments in
transformers), `seed`, `tokenizer` (a tokenizer.json) and `into` (a folder). Every weight is drawn,
norms and biases, too, and wide enough that what a layer gets wrong shows in the logits. Imports
nothing of PocketHive.
"""

import json
import shutil
import sys
from pathlib import Path


def main(job_path: str) -> None:
    """Do one job."""
    import torch  # type: ignore[import-not-found,unused-ignore]  # in the workshop
    import transformers  # type: ignore[import-not-found,unused-ignore]

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    torch.manual_seed(job["seed"])
    name = job["class"]
    config = getattr(transformers, f"{name}Config")(**job["config"])
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            wide = weight.shape[-1] ** -0.5 if weight.ndim > 1 else 0.1
            weight.normal_(1.0 if "norm" in key else 0.0, wide)
    into = Path(job["into"])
    model.save_pretrained(into)
    shutil.copyfile(job["tokenizer"], into / "tokenizer.json")
    fast = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": job["end"]}
    (into / "tokenizer_config.json").write_text(json.dumps(fast), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
