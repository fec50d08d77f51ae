"""Writes a tokenizer as the graph that openvino-genai wants, in the model workshop's environment:
`python tokenizer_graph.py TOKENIZER TARGET`."""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # tells nobody

from openvino import save_model  # noqa: E402
from openvino_tokenizers import convert_tokenizer  # type: ignore[import-untyped,unused-ignore]  # noqa: E402
from transformers import PreTrainedTokenizerFast  # type: ignore[import-not-found,unused-ignore]  # noqa: E402


def main(tokenizer: str, target: str) -> None:
    """Both directions."""
    read = PreTrainedTokenizerFast(tokenizer_file=tokenizer, eos_token="<|im_end|>")
    encoder, decoder = convert_tokenizer(read, with_detokenizer=True)
    save_model(encoder, f"{target}/openvino_tokenizer.xml")
    save_model(decoder, f"{target}/openvino_detokenizer.xml")


if __name__ == "__main__":
    main(*sys.argv[1:3])
