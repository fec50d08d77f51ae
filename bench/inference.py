"""Speed of our session beside the libraries it could use: `make bench NAME=inference`.

Prints one JSON object. Four runners in one process, interleaved, median of five rounds:

- `session`: our `Session`, through its public face,
- `openvino`: the same weights and arithmetic in plain OpenVINO, fed by a bare loop: the library we
  chose, used alone,
- `openvino_int8`: the same again, activations rounded to int8 where the processor has units for it
  (its own default). The distance to `openvino` is the price of equal numbers on every device,
- `genai`: `openvino_genai.LLMPipeline`, with activations as in `openvino_int8`.

None computes in bfloat16.

Every measurement reads a prompt of random words, a token each, that none has seen before, so no
prefix cache helps. Prefill is tokens per second until the first token of 512; decode is tokens per
second after the first, behind 32 and 512 tokens; `cpu` is processor seconds for a prompt of 512 and
its 48 tokens, which other work on the machine disturbs less.

Options: `--threads` (default 2), `--rounds`, `--home`, `--seed`.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.bundles import default_folder
from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.core.ports import Generation, Sampling
from pockethive.inference.bundle import open_bundle
from pockethive.inference.paged import EXACT
from pockethive.inference.session import Session
from pockethive.inference.silent_openvino import openvino as ov
from pockethive.inference.workshop import Workshop

DECODED = 48
PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True, slots=True)
class Timing:
    """One prompt read and continued. Rates are in tokens per second."""

    prefill: float
    decode: float


Measure = Callable[[list[int]], Timing]


def main() -> None:
    """Measure and print."""
    options = _options()
    folder = default_folder(options.home)
    session = Session(open_bundle(folder), threads=options.threads)
    runners: dict[str, Measure] = {
        "session": _session(session),
        "openvino": _openvino(folder, options.threads, EXACT),
        "openvino_int8": _openvino(folder, options.threads, PRECISION),
    }
    with tempfile.TemporaryDirectory() as scratch:
        runners["genai"] = _genai(folder, options.home, options.threads, Path(scratch))
        raw = _rounds(runners, _words(session), options)
    print(json.dumps(_report(raw, session, options), indent=2))


def _words(session: Session) -> list[int]:
    """Tokens that are a word each, so that their text has as many tokens again."""
    return [i for i in range(40_000) if re.fullmatch(r" [a-z]{4,}", session.tokens.decode([i]))]


def _rounds(
    runners: dict[str, Measure], words: list[int], options: argparse.Namespace
) -> dict[str, Any]:
    random = np.random.default_rng(options.seed)
    names = ("prefill512", "decode32", "decode512", "cpu")
    raw: dict[str, Any] = {runner: {name: [] for name in names} for runner in runners}
    for number in range(options.rounds + 1):
        for runner, measure in runners.items():
            for length in (32, 512):
                spent = time.process_time()
                timing = measure(random.choice(words, length).tolist())
                spent = time.process_time() - spent
                if number == 0:
                    continue  # the first round compiles kernels for each shape
                raw[runner][f"decode{length}"].append(round(timing.decode, 1))
                if length == 512:
                    raw[runner]["prefill512"].append(round(timing.prefill, 1))
                    raw[runner]["cpu"].append(round(spent, 3))
    return raw


def _report(raw: dict[str, Any], session: Session, options: argparse.Namespace) -> dict[str, Any]:
    medians = {
        name: {what: statistics.median(values) for what, values in measured.items()}
        for name, measured in raw.items()
    }
    return {
        "machine": machine("openvino", "openvino-genai", "numpy"),
        "model": session.model_class.sha256,
        "threads": options.threads,
        "seed": options.seed,
        "medians": medians,
        "session_against_openvino": {
            what: round(value / medians["openvino"][what], 3)
            for what, value in medians["session"].items()
        },
        "raw": raw,
    }


def _session(session: Session) -> Measure:
    """Our own, by its public face."""

    def measure(ids: list[int]) -> Timing:
        prompt = session.tokens.decode(ids)
        writer = session.stream(prompt, Sampling(max_tokens=DECODED))
        start = time.perf_counter()
        next(writer)
        first = time.perf_counter()
        made = _drained(writer)
        end = time.perf_counter()
        return Timing(
            made.prompt_tokens / (first - start), (made.generated_tokens - 1) / (end - first)
        )

    return measure


def _drained(writer: Generator[str, None, Generation]) -> Generation:
    while True:
        try:
            next(writer)
        except StopIteration as end:
            made: Generation = end.value
            return made


def _openvino(folder: Path, threads: int, arithmetic: Mapping[str, object]) -> Measure:
    """Plain OpenVINO: the exported graph as it is, greedy, nothing around it."""
    compiled = ov.Core().compile_model(
        folder / "openvino_model.xml", "CPU", {"INFERENCE_NUM_THREADS": threads, **arithmetic}
    )
    request = compiled.create_infer_request()

    def read(ids: list[int], before: int) -> int:
        end = before + len(ids)
        out = request.infer(
            {
                "input_ids": np.array([ids]),
                "attention_mask": np.ones((1, end), np.int64),
                "position_ids": np.arange(before, end)[None],
                "beam_idx": np.zeros(1, np.int32),
            },
            share_inputs=True,
            share_outputs=True,
        )
        return int(out[0][0, -1].argmax())

    def measure(ids: list[int]) -> Timing:
        request.reset_state()
        start = time.perf_counter()
        token = read(ids, 0)
        first = time.perf_counter()
        for number in range(DECODED - 1):
            token = read([token], len(ids) + number)
        end = time.perf_counter()
        return Timing(len(ids) / (first - start), (DECODED - 1) / (end - first))

    return measure


_CONVERT = """
import sys
sys.modules["openvino_telemetry"] = None
from openvino import save_model
from openvino_tokenizers import convert_tokenizer
from transformers import PreTrainedTokenizerFast
read = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1], eos_token="<|im_end|>")
encoder, decoder = convert_tokenizer(read, with_detokenizer=True)
save_model(encoder, sys.argv[2] + "/openvino_tokenizer.xml")
save_model(decoder, sys.argv[2] + "/openvino_detokenizer.xml")
"""


def _genai(folder: Path, home: Path, threads: int, scratch: Path) -> Measure:
    """openvino_genai. It wants the tokenizer as a graph, which the quantizer's tools make."""
    import openvino_genai

    tool = Workshop(home).python
    subprocess.run([tool, "-c", _CONVERT, folder / "tokenizer.json", scratch], check=True)
    for path in folder.glob("openvino_model.*"):
        (scratch / path.name).symlink_to(path)
    (scratch / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    pipeline = openvino_genai.LLMPipeline(
        scratch,
        openvino_genai.Tokenizer(scratch),
        "CPU",
        INFERENCE_NUM_THREADS=threads,
        **PRECISION,
    )

    def measure(ids: list[int]) -> Timing:
        settings = openvino_genai.GenerationConfig()
        settings.max_new_tokens = settings.min_new_tokens = DECODED
        settings.ignore_eos = True
        given = openvino_genai.TokenizedInputs(
            ov.Tensor(np.array([ids])), ov.Tensor(np.ones((1, len(ids)), np.int64))
        )
        measured = pipeline.generate(given, settings).perf_metrics
        return Timing(1000 * len(ids) / measured.get_ttft().mean, 1000 / measured.get_tpot().mean)

    return measure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="speed of a local model, as JSON")
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
