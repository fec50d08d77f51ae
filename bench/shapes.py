"""Larger architectures from random weights: are the numbers right, how fast, how much memory?

    python -m bench.shapes [--home FOLDER] [--shapes qwen3-0.6b llama-1.1b] [--tokens N] [--seed N]

For each shape: a model of that shape is drawn (`shapes_source.py`), made a bundle as any folder of
transformers is (int8, Optimum), and reads random tokens: its logits beside those of transformers in
float32 with the bundle's own weights, unpacked. Then a process of its own loads it, reads 256
tokens and writes 32. What is written says nothing, so only rounding and speed are of interest.
Needs the workshop of `pockethive models quantize`, and 4 bytes a weight, three times, on the disk.

Prints one JSON object; exits with 1 when logits are further apart than rounding.
"""

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.bundles import default_folder
from bench.logits import TOLERANCES, difference, read, unpack
from bench.machine import machine, resident
from pockethive.configs.home import default_home
from pockethive.core.ports import Sampling
from pockethive.inference.bundle import Bundle, open_bundle
from pockethive.inference.catalogue import find_source
from pockethive.inference.quantizer import Job, quantize
from pockethive.inference.session import Session
from pockethive.inference.workshop import Workshop

SHAPES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "qwen2-0.5b": (
        "Qwen2",
        {
            "hidden_size": 896,
            "intermediate_size": 4_864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "vocab_size": 151_936,
            "tie_word_embeddings": True,
            "rope_theta": 1e6,
        },
    ),
    "qwen3-0.6b": (
        "Qwen3",
        {
            "hidden_size": 1_024,
            "intermediate_size": 3_072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151_936,
            "tie_word_embeddings": True,
            "rope_theta": 1e6,
        },
    ),
    "llama-1.1b": (
        "Llama",
        {
            "hidden_size": 2_048,
            "intermediate_size": 5_632,
            "num_hidden_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "vocab_size": 49_152,  # the default model's, for its tokenizer; TinyLlama has 32,000
            "tie_word_embeddings": False,
        },
    ),
}
"""Class in transformers and what its configuration says, as published for models of that size."""
READ: Final = 256
WRITTEN: Final = 32


def main() -> int:
    """Measure and print."""
    options = _options()
    if options.alone:
        print(json.dumps(_speed(options.alone, options.threads, options.seed)))
        return 0
    workshop = Workshop(options.home)
    if not workshop.ready:
        raise SystemExit(f"no model workshop in {options.home}: run `pockethive models quantize`")
    report: dict[str, Any] = {"machine": machine("openvino", "tokenizers", "numpy")}
    report |= {"seed": options.seed, "tokens": options.tokens, "shapes": {}}
    for shape in options.shapes:
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            report["shapes"][shape] = _measure(shape, options, workshop, Path(scratch))
    print(json.dumps(report, indent=1))
    bound = TOLERANCES["same weights"]["most"]
    return int(any(seen["most"] > bound for seen in report["shapes"].values()))


def _measure(
    shape: str, options: argparse.Namespace, workshop: Workshop, scratch: Path
) -> dict[str, Any]:
    folder = scratch / f"shape-{shape}"
    began = time.monotonic()
    _draw(shape, folder, options, workshop)
    drawn = time.monotonic()
    job = Job(find_source(str(folder)), options.home, force=True, accepted="unstated")
    try:
        bundle = quantize(job, lambda progress: _say(f"{shape}: {progress.stage}"))
        made = time.monotonic()
        found = _compared(bundle, options, workshop, scratch)
        command = [sys.executable, "-m", "bench.shapes", "--alone", str(bundle.folder)]
        command += ["--threads", str(options.threads), "--seed", str(options.seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        shutil.rmtree(job.target, ignore_errors=True)
        shutil.rmtree(job.work, ignore_errors=True)
    return {
        "parameters": bundle.card.parameters,
        "bundle_mb": round(bundle.size / 1e6),
        "draw_s": round(drawn - began, 1),
        "make_s": round(made - drawn, 1),
        "make_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        **found,
        **json.loads(done.stdout),
    }


def _draw(shape: str, into: Path, options: argparse.Namespace, workshop: Workshop) -> None:
    default = default_folder(options.home)
    name, config = SHAPES[shape]
    job = {"class": name, "config": config | {"max_position_embeddings": 2_048}}
    job |= {"seed": options.seed, "into": str(into), "end": "<|im_end|>"}
    _script("shapes_source", job | {"tokenizer": str(default / "tokenizer.json")}, into, workshop)


def _compared(
    bundle: Bundle, options: argparse.Namespace, workshop: Workshop, scratch: Path
) -> dict[str, float]:
    """Our logits beside those of transformers with the same weights."""
    ids = _tokens(options.tokens, options.seed)
    session = Session(bundle, threads=options.threads)
    ours = np.concatenate(session.run(read(ids)))
    weights, theirs = scratch / "weights", scratch / "theirs.npy"
    weights.mkdir()
    unpack(bundle.folder / "openvino_model.xml", weights)
    source = str(scratch / bundle.card.name)
    job = {"source": source, "gguf": "", "ids": ids, "into": str(scratch / "source.npy")}
    _script("logits_source", job | {"weights": {str(theirs): str(weights)}}, theirs, workshop)
    right = np.load(theirs)
    return {**difference(ours, right), "greatest_logit": float(np.abs(right).max())}


def _speed(folder: Path, threads: int, seed: int) -> dict[str, float]:
    """Of a process that does nothing else."""
    began = time.perf_counter()
    session = Session(open_bundle(folder), threads=threads)
    loaded = time.perf_counter()
    session.run(read(_tokens(READ, seed + 1)))  # what is compiled for a first time is not counted
    text = session.tokens.decode(_tokens(READ, seed + 2))
    start = time.perf_counter()
    session.generate(text, Sampling(max_tokens=1))
    known = time.perf_counter()
    made = session.generate(text, Sampling(max_tokens=WRITTEN + 1))
    spent = time.perf_counter() - known
    return {
        "load_s": round(loaded - began, 2),
        "reads_tokens_s": round(READ / (known - start), 1),
        "writes_tokens_s": round(made.generated_tokens / spent, 1),
        "written": made.generated_tokens,
        "resident_mb": round(resident()),
    }


def _script(name: str, job: dict[str, Any], beside: Path, workshop: Workshop) -> None:
    path = beside.with_name(f"{name}.json")
    path.write_text(json.dumps(job), encoding="utf-8")
    script = Path(__file__).with_name(f"{name}.py")
    command = [str(workshop.python), str(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")


def _tokens(count: int, seed: int) -> list[int]:
    """Of the default model's vocabulary, without its control tokens."""
    return random.Random(seed).choices(range(100, 40_000), k=count)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.shapes", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["qwen3-0.6b", "llama-1.1b"])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="where to make it, with 15 GB free")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
