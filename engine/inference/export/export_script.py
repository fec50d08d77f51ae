"""Exports and quantizes a model with Optimum, inside the quantizer's own environment.

Run as `python export_script.py JOB`: JOB is a JSON file with `source` (a folder), `gguf` (file in
the folder, or empty), `quantization` (`int8`, `int4`, `int8onnx` or `int4onnx`), `target` and
`text`, which both variants read to be compared.
It prints one JSON line per stage on stdout; everything else that libraries print goes to stderr.
The result is `openvino_model.xml` and `.bin`, or `model.onnx` and `.data` (see `onnx_script.py`),
`tokenizer.json`, `facts.json` and `quality.json`.

Imports nothing of PocketHive: that environment has none of it.
"""

import json
import math
import os
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # no telemetry: an import fails
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false")

ONNX = ("int8onnx", "int4onnx")
_SYSTEM, _USER = "SYSTEM-TEXT-PLACE", "USER-TEXT-PLACE"
_WINDOW = 256  # tokens that are read together when variants are compared
_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")


def main(job_path: str) -> None:
    """Do one job; a failure ends in a traceback on stderr and a status other than 0."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with our lines

    def tell(stage: str, fraction: float) -> None:
        lines.write(json.dumps({"stage": stage, "fraction": fraction}) + "\n")

    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    target = Path(job["target"])
    target.mkdir(parents=True, exist_ok=True)
    tell("importing Optimum", 0.0)
    weights = _unpack(job, target, tell)
    _export(job, weights, target, tell)
    tell("comparing", 0.8)
    _write(target / "quality.json", _compare(job, weights, target))
    tell("exported", 1.0)


def _unpack(job: dict[str, Any], target: Path, tell: Any) -> str:
    """Turn a GGUF file into a transformers folder, once; other sources are used as they are."""
    if not job["gguf"]:
        return str(job["source"])
    import torch  # type: ignore[import-not-found]  # in the tool environment
    from transformers import (  # type: ignore[import-not-found]  # in the tool environment
        AutoModelForCausalLM,
        AutoTokenizer,
    )

    unpacked, done = target / "unpacked", target / "unpacked.done"
    if not done.exists():
        tell("unpacking weights", 0.1)
        options = {"gguf_file": job["gguf"]}
        tokenizer = AutoTokenizer.from_pretrained(job["source"], **options)
        tokenizer.save_pretrained(unpacked)
        (unpacked / "tokenizer.model").unlink(missing_ok=True)  # a copy of the whole GGUF file
        model = AutoModelForCausalLM.from_pretrained(job["source"], dtype=torch.float32, **options)
        model.save_pretrained(unpacked)
        done.touch()
    return str(unpacked)


def _export(job: dict[str, Any], weights: str, target: Path, tell: Any) -> None:
    from optimum.intel import (  # type: ignore[import-not-found]  # in the tool environment
        OVModelForCausalLM,
        OVWeightQuantizationConfig,
    )

    tell("exporting and quantizing", 0.35)
    if job["quantization"] in ONNX:
        _export_onnx(job, weights, target)
        return
    small: dict[str, Any] = {"bits": 4, "sym": True, "group_size": 64}
    config = small if job["quantization"] == "int4" else {"bits": 8, "sym": True}
    model = OVModelForCausalLM.from_pretrained(
        weights,
        export=True,
        quantization_config=OVWeightQuantizationConfig(**config),
        compile=False,
    )
    tell("writing", 0.7)
    model.save_pretrained(target)
    _tell_facts(model, _parameters(model), weights, job)


def _export_onnx(job: dict[str, Any], weights: str, target: Path) -> None:
    """The same for ONNX Runtime."""
    from onnx_script import build  # type: ignore[import-not-found,unused-ignore]  # lies beside
    from transformers import AutoConfig, GenerationConfig

    with TemporaryDirectory(dir=target) as scratch:
        four_bits = job["quantization"] == "int4onnx"
        parameters = build(weights, target, Path(scratch), four_bits=four_bits)
    told = SimpleNamespace(config=AutoConfig.from_pretrained(weights))
    told.generation_config = GenerationConfig.from_model_config(told.config)
    if (Path(weights) / "generation_config.json").exists():
        told.generation_config = GenerationConfig.from_pretrained(weights)
    _tell_facts(told, parameters, weights, job)


def _tell_facts(model: Any, parameters: int, weights: str, job: dict[str, Any]) -> None:
    """Write the tokenizer, and what a card needs to know."""
    from transformers import AutoTokenizer

    target = Path(job["target"])
    tokenizer = AutoTokenizer.from_pretrained(weights)
    repaired = repair(json.loads(tokenizer.backend_tokenizer.to_str()), model.config.vocab_size)
    _write(target / "tokenizer.json", repaired)
    facts = _facts(model, tokenizer, bool(job["gguf"]))
    _write(target / "facts.json", {"parameters": parameters, **facts})


def _compare(job: dict[str, Any], weights: str, target: Path) -> dict[str, Any]:
    """What the export keeps of its source: see `quality.py`. One of the two in memory at a time."""
    from tokenizers import Tokenizer  # type: ignore[import-untyped,unused-ignore]  # no types

    ids = Tokenizer.from_file(str(target / "tokenizer.json")).encode(job["text"]).ids
    windows = [ids[start : start + _WINDOW] for start in range(0, len(ids) - 1, _WINDOW)]
    windows = [window for window in windows if len(window) > 1]
    before = _read_source(weights, windows)
    read = _read_onnx if job["quantization"] in ONNX else _read_export
    after = read(target, windows)
    tokens = sum(len(window) - 1 for window in windows)
    alike = sum(int((one[1] == other[1]).sum()) for one, other in zip(before, after, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "tokens": tokens,
        "perplexity": math.exp(-sum(float(read[0].sum()) for read in after) / tokens),
        "perplexity_before": math.exp(-sum(float(read[0].sum()) for read in before) / tokens),
        "agreement": alike / tokens,
        "peak_bytes": peak if sys.platform == "darwin" else peak * 1024,
    }


def _read_source(weights: str, windows: list[list[int]]) -> list[Any]:
    """For each window: log-probabilities of its next tokens, and the most probable ones."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    with torch.inference_mode():
        return [
            _told(model(torch.tensor([window])).logits[0].numpy(), window) for window in windows
        ]


def _read_export(target: Path, windows: list[list[int]]) -> list[Any]:
    """The same of the export, computed in float32 but for its weights."""
    import numpy as np
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    graph = openvino.Core().compile_model(target / "openvino_model.xml", "CPU", exact)
    names = {name for port in graph.inputs for name in port.names}
    request = graph.create_infer_request()
    read = []
    for window in windows:
        count = len(window)
        given = {
            "input_ids": np.array([window], np.int64),
            "attention_mask": np.ones((1, count), np.int64),
            "position_ids": np.arange(count, dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        request.reset_state()
        request.infer({name: value for name, value in given.items() if name in names})
        read.append(_told(request.get_tensor("logits").data[0], window))
    return read


def _read_onnx(target: Path, windows: list[list[int]]) -> list[Any]:
    """The same of what ONNX Runtime reads."""
    from onnx_script import read

    return [
        _told(logits, window) for logits, window in zip(read(target, windows), windows, strict=True)
    ]


def _told(logits: Any, window: list[int]) -> tuple[Any, Any]:
    """`logits` [tokens, vocabulary] -> log-probabilities of the next tokens; the greatest ones."""
    import numpy as np

    rows = np.asarray(logits[:-1], np.float64)
    rows = rows - rows.max(axis=1, keepdims=True)
    chosen = rows[np.arange(len(rows)), window[1:]]
    return chosen - np.log(np.exp(rows).sum(axis=1)), rows.argmax(axis=1)


def _facts(model: Any, tokenizer: Any, from_gguf: bool) -> dict[str, Any]:
    """What else a card needs. A GGUF tokenizer's first and last tokens are not to be trusted."""
    chat, bare = _chat_forms(tokenizer)
    ends = model.generation_config.eos_token_id
    stop_ids = set(ends if isinstance(ends, list) else [ends] if ends is not None else [])
    known = tokenizer.get_vocab()
    stop_ids |= {known[end] for end in _TURN_ENDS if end in chat and end in known}
    if not stop_ids and tokenizer.eos_token_id is not None:
        stop_ids.add(tokenizer.eos_token_id)
    prefix = [] if from_gguf else list(tokenizer("")["input_ids"])
    return {
        "context": int(getattr(model.config, "max_position_embeddings", 2048)),
        "stop_ids": sorted(stop_ids),
        "prefix_ids": [token for token in prefix if token not in stop_ids],
        "chat": chat,
        "chat_bare": bare,
    }


def _parameters(model: Any) -> int:
    """Weights in the graph: its larger integer and float constants, without scales."""
    total = 0
    for node in model.model.get_ops():
        if node.get_type_name() == "Constant" and len(node.get_output_shape(0)) >= 2:
            shape = node.get_output_shape(0)
            size = 1
            for extent in shape:
                size *= int(extent)
            total += size if min(shape[0], shape[-1]) > 1 else 0
    return total


def _chat_forms(tokenizer: Any) -> tuple[str, str]:
    """The chat template as two plain forms, so that nothing has to run it later."""

    def render(messages: list[dict[str, str]]) -> str:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return str(text).replace(_SYSTEM, "{system}").replace(_USER, "{user}")

    user = {"role": "user", "content": _USER}
    if not tokenizer.chat_template:
        return "{system}\n\n{user}\n", "{user}\n"
    bare = render([user])
    try:
        return render([{"role": "system", "content": _SYSTEM}, user]), bare
    except Exception as error:  # noqa: BLE001  # templates raise what they like: no system role
        sys.stderr.write(f"no system role in the chat template: {error}\n")
        return bare.replace("{user}", "{system}\n\n{user}"), bare


def repair(tokenizer: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Make a byte-level BPE tokenizer read from GGUF say that it is one.

    transformers takes it for SentencePiece: words then reach the vocabulary without their spaces,
    and a grammar engine takes the letters for space and line feed for themselves. It also adds
    tokens that the model has no row for, which are dropped. Nothing is put before or after a text:
    prompts hold their control tokens.
    """
    known = [token for token in tokenizer["added_tokens"] if token["id"] < vocabulary]
    tokenizer["added_tokens"] = known
    if _spelled_bytewise(tokenizer) and not _says_bytewise(tokenizer):
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        byte_level["use_regex"] = True
        digits = {"type": "Digits", "individual_digits": True}
        tokenizer["normalizer"] = None
        tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
        tokenizer["decoder"] = {**byte_level, "add_prefix_space": True}
        tokenizer["model"] |= {"byte_fallback": False, "fuse_unk": False}
    return tokenizer | {"post_processor": None, "truncation": None, "padding": None}


def _spelled_bytewise(tokenizer: dict[str, Any]) -> bool:
    """Whether the vocabulary writes a space as `\u0120`, as byte-level BPE does."""
    model = tokenizer["model"]
    return model["type"] == "BPE" and any(token.startswith("\u0120") for token in model["vocab"])


def _says_bytewise(tokenizer: dict[str, Any]) -> bool:
    decoder = (tokenizer.get("decoder") or {}).get("type")
    return decoder == "ByteLevel" and "ByteLevel" in json.dumps(tokenizer["pre_tokenizer"])


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
