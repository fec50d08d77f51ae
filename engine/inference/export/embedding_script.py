"""Exports and quantizes an encoder with Optimum, inside the quantizer's own environment.

Run as `python embedding_script.py JOB`: JOB is a JSON file with `source` (a folder as transformers
saves it), `target` and `texts`, which export and source both read to be compared. The result is
`openvino_model.xml`, `openvino_model.bin`, `tokenizer.json` and `facts.json`.

Imports nothing of PocketHive: that environment has none of it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # no telemetry: an import fails
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false")


def main(job_path: str) -> None:
    """Do one job; a failure ends in a traceback on stderr and a status other than 0."""
    os.dup2(2, 1)  # what libraries print is not for who hears us
    from optimum.intel import (  # type: ignore[import-not-found]  # in the tool environment
        OVModelForFeatureExtraction,
        OVWeightQuantizationConfig,
    )
    from transformers import (  # type: ignore[import-not-found]  # in the tool environment
        AutoModel,
        AutoTokenizer,
    )

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    target = Path(job["target"])
    model = OVModelForFeatureExtraction.from_pretrained(
        job["source"],
        export=True,
        quantization_config=OVWeightQuantizationConfig(bits=8, sym=True),
        compile=False,
    )
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(job["source"])
    told = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    _write(target / "tokenizer.json", told)
    source = AutoModel.from_pretrained(job["source"])
    model.compile()
    pairs = [(_row(source, tokenizer, text), _row(model, tokenizer, text)) for text in job["texts"]]
    facts = {
        "parameters": sum(each.numel() for each in source.parameters()),
        "width": source.config.hidden_size,
        "longest": source.config.max_position_embeddings,
        "likeness": min(float((one * other).sum()) for one, other in pairs),
    }
    _write(target / "facts.json", facts)


def _row(model: Any, tokenizer: Any, text: str) -> Any:
    """The mean of a text's rows, one long."""
    import torch  # type: ignore[import-not-found]  # in the tool environment

    given = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
    with torch.inference_mode():
        row = model(**given).last_hidden_state[0].mean(dim=0)
    return row / row.norm()


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
