"""Logits of transformers, in float32, for `bench.logits`: run in the model workshop's environment.

`python logits_source.py JOB`: JOB is a JSON file with `source` (a folder), `gguf` (a file in it),
`ids`, `into` (a .npy file) and `weights`: by the name of such a file, a folder of .npy files that
take the place of the weights of their name, or one with a `model.onnx`, whose weights are unpacked.
Imports nothing of PocketHive.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_EIGHT_BITS = 3  # inputs of a node: what it multiplies, values, steps; four bits have zeros, too


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
    graph = folder / "model.onnx"
    with torch.no_grad():
        for name, values in _of_graph(graph) if graph.exists() else _of_files(folder):
            own[name].copy_(torch.from_numpy(values))


def _of_files(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob("*.npy")):
        yield path.stem, np.load(path)


def _of_graph(path: Path) -> Iterator[tuple[str, Any]]:
    """The weights of a graph's linear layers as float32; head and embeddings are one."""
    import onnx  # type: ignore[import-not-found,unused-ignore]  # in the workshop
    from onnx import numpy_helper

    model = onnx.load(path)
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        rows = _unpacked([arrays[name] for name in node.input[1:]])
        length = {each.name: each.i for each in node.attribute}["K"]
        four = len(node.input) > _EIGHT_BITS
        rows = _with_means(rows[:, :length]) if four else rows[:, :length]
        name = node.input[1].replace("/", ".").strip(".").partition(".MatMul")[0]
        yield from _parts(name.replace(".attn.", ".self_attn."), rows)


def _unpacked(parts: list[Any]) -> Any:
    """Rows [out, in] of codes [out, blocks, bytes], steps, and zeros where there are four bits."""
    codes, steps = parts[:2]
    blocks = codes.shape[:2]
    if len(parts) + 1 == _EIGHT_BITS:
        whole = codes.astype(np.float32) - 128
    else:
        zeros = _halves(parts[2].reshape(len(codes), -1))[:, : blocks[1], None]
        whole = _halves(codes) - zeros
    return (whole * steps.reshape(*blocks, 1)).reshape(len(codes), -1)


def _halves(packed: Any) -> Any:
    """Two values of a byte, the low one first, along the last axis."""
    both = np.stack((packed & 15, packed >> 4), axis=-1)
    return both.reshape(*packed.shape[:-1], -1).astype(np.float32)


def _with_means(rows: Any) -> Any:
    """Behind a row stand the weights of the means of its blocks of 32: put into the row itself."""
    width = rows.shape[1] * 32 // 33
    return rows[:, :width] + np.repeat(rows[:, width:] / 32, 32, axis=1)


def _parts(name: str, rows: Any) -> Iterator[tuple[str, Any]]:
    """A layer under the names that transformers has for it. Of queries, keys and values one."""
    width = rows.shape[1]
    if name == "lm_head":
        yield "model.embed_tokens.weight", rows
        return
    if not name.endswith("qkv_proj"):
        yield f"{name}.weight", rows
        return
    others = (len(rows) - width) // 2
    cuts = np.split(rows, [width, width + others])
    for part, values in zip(("q_proj", "k_proj", "v_proj"), cuts, strict=True):
        yield f"{name.removesuffix('qkv_proj')}{part}.weight", values


if __name__ == "__main__":
    main(sys.argv[1])
