"""Makes the two files beside it, in the model workshop's environment: `python make.py TOKENIZERS`.

A model of two layers with drawn weights, through the builder and the script that real ones go
through; in `four` with linear layers in four bits. TOKENIZERS: a folder with some tokenizer, which
the builder wants to copy.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore]  # in the workshop
from transformers import (  # type: ignore[import-not-found,unused-ignore]  # in the workshop
    LlamaConfig,
    LlamaForCausalLM,
)

HERE = Path(__file__).parent


def main(tokenizers: str) -> None:
    """The same bytes each time."""
    sys.path.insert(0, str(HERE.parents[2] / "engine" / "inference" / "export"))
    from onnx_script import build  # type: ignore[import-not-found,unused-ignore]  # by its folder

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        LlamaForCausalLM(config).save_pretrained(source)
        for path in Path(tokenizers).glob("tokenizer*"):
            shutil.copy(path, source)
        for target, four_bits in ((HERE, False), (HERE / "four", True)):
            scratch = Path(folder) / f"scratch-{four_bits}"
            scratch.mkdir()
            target.mkdir(exist_ok=True)
            build(str(source), target, scratch, four_bits=four_bits)


if __name__ == "__main__":
    main(sys.argv[1])
