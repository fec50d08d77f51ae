"""Our session beside what a user could pick instead, same weights: `make bench NAME=models`.

Ours in five ways (exact arithmetic lean and roomy, quick arithmetic roomy, and for ONNX Runtime the
variants that `pockethive models get --quantization int8onnx` and `int4onnx` made), openvino-genai
as it chooses and in float32, onnxruntime-genai, plain onnxruntime, and llama.cpp built for this
processor. Each lives in a process of its own; one at a time is asked, in another order each round.
All prompts of a round are the same for all and seen by none before: random words, a token each.

    python -m bench.models [--rounds 5] [--threads 2] [--seed 1] [--only NAME ...] [--table FILE]

| measure | what |
|---|---|
| import, load | seconds of a fresh process whose files are in memory |
| resident | MB of that process after 1,006 tokens read and 32 written |
| prefill512 | tokens/s until the first token after 512 |
| decode32, decode512 | tokens/s after the first of 48 tokens |
| together1, 4, 8 | tokens/s in all of 32 tokens after 32, the prompts' reading included |
| score_ratio | 4 options of 6 tokens after a prefix of 300, by one reading of 300 |
| again1, again40 | ms to the first token after 1 and 40 new ones, 300 before them known |
| json, json_token | ms for a text by a schema never seen, its grammar made first; ms a token |
| json_cost, json_valid | of that, what is beyond a token of decode32; share of texts that fit |
| perplexity | of the shipped text in windows of 256, as `quality.json` has it |

The first round warms up and is not counted. Writes build/models.json (raw figures, machine,
versions) and prints the tables; `--table` prints those of such a file. What a run time has not, or
fails at, is told beneath.
"""

import argparse
import json
import math
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.bundles import default_folder
from bench.machine import machine
from bench.model_peers.made import Failed, Maker
from bench.model_peers.process import Lacking, Process, Runner
from bench.model_peers.prompts import Prompts, fits
from bench.model_peers.table import medians, tables
from pockethive.configs.home import default_home
from pockethive.inference import DEFAULT_MODEL, find_bundle
from pockethive.inference.catalogue import ONNX, ONNX_FOUR
from pockethive.inference.quality import shipped_text

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build"
WRITTEN: Final = 48
WINDOW: Final = 256
JSON_TOKENS: Final = 200  # at most

Figures = dict[str, dict[str, list[float]]]


def main() -> int:
    """Measure, write and print."""
    options = _options()
    if options.table:
        report = json.loads(options.table.read_text(encoding="utf-8"))
        print(tables(medians(report["raw"]), report["lacks"]))
        return 0
    bundle = default_folder(options.home)
    maker = Maker(BUILD, bundle, options.home)
    lacks: dict[str, dict[str, str]] = defaultdict(dict)
    runners = _runners(maker, options, lacks)
    report = {"machine": machine("openvino", "onnxruntime", "tokenizers", "numpy", "llguidance")}
    report |= {"seed": options.seed, "threads": options.threads, "rounds": options.rounds}
    report["versions"] = _versions(maker)
    raw = _measured(runners, Prompts(bundle / "tokenizer.json", options.seed), options, lacks)
    report |= {"load_after": machine()["load_1_minute"], "medians": medians(raw)}
    report |= {"lacks": dict(lacks), "raw": raw}
    options.into.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(tables(report["medians"], lacks))
    return 0


def _runners(
    maker: Maker, options: argparse.Namespace, lacks: dict[str, dict[str, str]]
) -> dict[str, Runner]:
    """All that can be had; why another cannot goes to `lacks`."""
    threads = {"threads": options.threads}
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    exact |= {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}

    def ours(quantization: str = "int8", **how: bool) -> Callable[[], Runner]:
        return lambda: _ours(options, quantization, **how)

    def peer(script: str, folder: Callable[[], str], **more: Any) -> Callable[[], Runner]:
        def made() -> Runner:
            maker.environment()
            if script == "with_llama_cpp":
                maker.llama_cpp()
            return Runner(script, {"folder": folder(), **more, **threads}, maker.python)

        return made

    int8, int4 = (lambda: maker.onnx("int8")), (lambda: maker.onnx("int4"))
    offered: dict[str, Callable[[], Runner]] = {
        "PocketHive, exact": ours(),
        "PocketHive, exact, roomy": ours(roomy=True),
        "PocketHive, quick, roomy": ours(fast=True, roomy=True),
        "PocketHive, ONNX Runtime": ours(ONNX),
        "PocketHive, ONNX Runtime, four bits": ours(ONNX_FOUR),
        "openvino-genai": peer("with_openvino_genai", maker.openvino, hints={}),
        "openvino-genai, exact": peer("with_openvino_genai", maker.openvino, hints=exact),
        "onnxruntime-genai, int8": peer("with_onnxruntime_genai", int8),
        "onnxruntime-genai, int4": peer("with_onnxruntime_genai", int4),
        "onnxruntime, int8": peer("with_onnxruntime", int8),
        "llama.cpp, Q8_0": peer("with_llama_cpp", maker.gguf_int8),
        "llama.cpp, Q4_1": peer("with_llama_cpp", maker.gguf),
    }
    found = {}
    for name in options.only or offered:
        if name not in offered:
            raise SystemExit(f"no run time {name!r}; there are: {'; '.join(offered)}")
        try:
            found[name] = offered[name]()
        except Failed as error:
            lacks[name]["all"] = f"failed: {error}"
    return found


def _ours(
    options: argparse.Namespace, quantization: str, *, fast: bool = False, roomy: bool = False
) -> Runner:
    folder = find_bundle(DEFAULT_MODEL, quantization, options.home)
    if folder is None:
        raise Failed(f"no bundle: pockethive models get --quantization {quantization}")
    given = {"folder": str(folder), "fast": fast, "roomy": roomy, "threads": options.threads}
    return Runner("ours", given, Path(sys.executable))


def _measured(
    runners: dict[str, Runner],
    prompts: Prompts,
    options: argparse.Namespace,
    lacks: dict[str, dict[str, str]],
) -> Figures:
    raw: Figures = {name: defaultdict(list) for name in runners}
    log = BUILD / "models.log"
    for number in range(options.rounds + 1):
        ids = prompts.words(1006)
        for name in prompts.shuffled(list(runners)):
            kept = raw[name] if number else defaultdict(list)
            try:
                _start(runners[name], ids, kept, log)
            except Lacking as lack:
                lacks[name]["start"] = str(lack)
        _say(f"starts: round {number} of {options.rounds}")
    processes: dict[str, Process] = {}
    try:
        for name, runner in runners.items():
            if "start" not in lacks[name]:
                processes[name] = Process(runner, log)
                processes[name].ask("load")
        for number in range(options.rounds + 1):
            given = _given(prompts)
            for name in prompts.shuffled(list(processes)):
                kept = raw[name] if number else defaultdict(list)
                _round(processes[name], given, kept, lacks[name])
            _say(f"work: round {number} of {options.rounds}")
        for name, process in processes.items():
            _read(process, prompts, raw[name], lacks[name])
    finally:
        for process in processes.values():
            process.end()
    return raw


def _start(runner: Runner, ids: list[int], raw: dict[str, list[float]], log: Path) -> None:
    """A fresh process: import, load, memory after 1,006 tokens. Raises Lacking."""
    with Process(runner, log) as process:
        loaded = process.ask("load")
        process.ask("write", ids=ids, count=32)
        memory = process.ask("memory")
    raw["import"].append(process.imported["seconds"])
    raw["load"].append(loaded["seconds"])
    raw["resident"].append(memory["resident"])
    raw["anonymous"].append(memory["anonymous"])


def _given(prompts: Prompts) -> dict[str, Any]:
    """A round's prompts, the same for all."""
    ids, schema = prompts.thing()
    return {
        "long": prompts.words(512),
        "short": prompts.words(32),
        "together": {n: [prompts.words(32) for _ in range(n)] for n in (1, 4, 8)},
        "prefix": [prompts.words(300) for _ in range(4)],
        "options": [prompts.words(6) for _ in range(4)],
        "suffix": {n: prompts.words(n) for n in (1, 40)},
        "json": {"ids": ids, "schema": schema, "count": lambda text: len(prompts.encode(text))},
    }


def _round(
    process: Process, given: dict[str, Any], raw: dict[str, list[float]], lacks: dict[str, str]
) -> None:
    """Everything once."""

    def tried(name: str, measure: Callable[[], dict[str, float]]) -> None:
        try:
            for each, figure in measure().items():
                raw[each].append(figure)
        except Lacking as lack:
            lacks[name] = str(lack)

    tried("prefill", lambda: _written(process, given["long"], "prefill512", "decode512"))
    tried("decode", lambda: _written(process, given["short"], "", "decode32"))
    for count, texts in given["together"].items():
        tried("together", lambda n=count, ids=texts: _together(process, n, ids))  # type: ignore[misc]  # mypy cannot see lambda defaults
    tried("score", lambda: _scored(process, given))
    for place, (count, suffix) in enumerate(given["suffix"].items(), 2):
        prefix = given["prefix"][place]
        tried(
            "again",
            lambda n=count, p=prefix, s=suffix: {  # type: ignore[misc]  # mypy cannot see lambda defaults
                f"again{n}": 1000 * process.ask("again", prefix=p, suffix=s)["first"]
            },
        )
    tried("json", lambda: _constrained(process, given["json"], raw["decode32"]))


def _written(process: Process, ids: list[int], prefill: str, decode: str) -> dict[str, float]:
    made = process.ask("write", ids=ids, count=WRITTEN)
    found = {prefill: len(ids) / made["first"]} if prefill else {}
    if made["tokens"] > WRITTEN / 2:  # ours ends a text where the model does
        found[decode] = (made["tokens"] - 1) / made["rest"]
    return found


def _together(process: Process, count: int, texts: list[list[int]]) -> dict[str, float]:
    made = process.ask("together", prompts=texts, count=32)
    return {f"together{count}": made["tokens"] / made["seconds"]}


def _scored(process: Process, given: dict[str, Any]) -> dict[str, float]:
    read = process.ask("write", ids=given["prefix"][0], count=1)["first"]
    made = process.ask("score", prefix=given["prefix"][1], options=given["options"])
    return {"score": 1000 * made["seconds"], "score_ratio": made["seconds"] / read}


def _constrained(process: Process, given: dict[str, Any], decode: list[float]) -> dict[str, float]:
    """Tokens are those of the text as one tokenizer cuts it, whoever wrote it."""
    made = process.ask("constrain", ids=given["ids"], schema=given["schema"], most=JSON_TOKENS)
    each = 1000 * made["seconds"] / max(1, given["count"](made["text"]))
    free = 1000 / decode[-1] if decode else each
    valid = float(fits(made["text"], given["schema"]))
    found = {"json": 1000 * made["seconds"], "json_token": each, "json_cost": each - free}
    return found | {"json_valid": valid}


def _read(
    process: Process, prompts: Prompts, raw: dict[str, list[float]], lacks: dict[str, str]
) -> None:
    """Perplexity on the shipped text, once."""
    ids = prompts.encode(shipped_text())
    windows = [ids[start : start + WINDOW] for start in range(0, len(ids) - 1, WINDOW)]
    windows = [window for window in windows if len(window) > 1]
    try:
        total = sum(process.ask("logprob", window=window)["logprob"] for window in windows)
    except Lacking as lack:
        lacks["perplexity"] = str(lack)
        return
    raw["perplexity"] = [math.exp(-total / sum(len(window) - 1 for window in windows))]


def _versions(maker: Maker) -> dict[str, str]:
    """What is in the peers' environment."""
    if not maker.python.exists():
        return {}
    command = [str(maker.python), "-m", "pip", "list", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {each["name"]: each["version"] for each in json.loads(done.stdout)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="a local model beside other run times")
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names as the table has them")
    parser.add_argument("--into", type=Path, default=BUILD / "models.json")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the tables of a file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
