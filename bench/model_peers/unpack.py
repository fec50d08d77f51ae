"""Writes a GGUF file's weights as transformers keeps them, in the model workshop's environment:
`python unpack.py FOLDER FILE TARGET`."""

import sys
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]  # in the workshop
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # in the workshop
    AutoModelForCausalLM,
    AutoTokenizer,
)


def main(folder: str, file: str, target: str) -> None:
    """The tokenizer, too."""
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(target)
    (Path(target) / "tokenizer.model").unlink(missing_ok=True)  # a copy of the whole GGUF file


if __name__ == "__main__":
    main(*sys.argv[1:4])
