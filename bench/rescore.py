"""What reading a text again costs against writing it, how near honest numbers are, who is caught.

    python -m bench.rescore [--texts N] [--threads N] [--home FOLDER]

The default model writes summaries of this repository's own pages, greedily and drawn. Another
session of the same class (in this process, and in processes with one thread and with narrower
processor instructions) reads them again: how far its numbers are from the writer's, in nats. Then
everybody cheats: one token exchanged for the next in line, random tokens, the text of another
prompt, a text that goes on too long; each hands in the very numbers that the model has for it. And
a device of faster arithmetic hands in its text as if it were of this class, with its own numbers.

Prints one JSON object. `cost`: processor seconds, medians, of a text of so many tokens behind a
prompt that nobody had read; `known`: behind one that the reader had read before. Exits with 1 when
an honest text was refused or a cheat's was accepted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.bundles import default_folder
from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.core.ports import Generation, Rescored, Sampling
from pockethive.core.rescore import MARGIN, WrittenText, judge
from pockethive.inference.bundle import Bundle, open_bundle
from pockethive.inference.kernels import told_class
from pockethive.inference.session import Session

T = TypeVar("T")
DOCS = Path(__file__).parent.parent / "docs"
PIECE = 900  # characters of a page that are summarized
TOKENS = 48
QUICK = "faster arithmetic"
LENGTHS = (32, 128)
NARROW = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}


def main() -> int:
    """Measure and print."""
    options = _options()
    folder = default_folder(options.home)
    bundle = open_bundle(folder)
    if options.read:
        print(json.dumps(_distances(bundle, json.loads(options.read.read_text()), options.threads)))
        return 0
    session = Session(bundle, threads=options.threads)
    prompts = _prompts(session, options.texts)
    cost = {str(length): _cost(session, prompts, length) for length in LENGTHS}
    texts = [
        {"prompt": prompt, "sampling": asdict(how), "made": asdict(session.generate(prompt, how))}
        for number, prompt in enumerate(prompts)
        for how in (_greedy(TOKENS), _greedy(TOKENS, temperature=0.8, top_p=0.95, seed=number))
    ]
    report: dict[str, Any] = {
        "machine": machine("openvino", "numpy"),
        "class": session.model_class.id,
        "margin_nats": MARGIN / 1e6,
        "cost": cost,
        "honest": {
            "same process": _distances(bundle, texts, options.threads),
            "one thread": _elsewhere(texts, options, 1, {}),
            "narrower instructions": _elsewhere(texts, options, options.threads, NARROW),
        },
        "cheats": _cheats(session, bundle, prompts),
    }
    print(json.dumps(report, indent=2))
    refused = sum(each["refused"] for each in report["honest"].values())
    return int(bool(refused or any(each["accepted"] for each in report["cheats"].values())))


def _greedy(tokens: int, **how: Any) -> Sampling:
    return Sampling(max_tokens=tokens, **how)


def _prompts(session: Session, count: int) -> list[str]:
    pages = "\n".join(path.read_text() for path in sorted(DOCS.glob("*.md")))
    step = max(PIECE, len(pages) // count)
    pieces = [pages[at : at + PIECE] for at in range(0, len(pages) - PIECE, step)][:count]
    return [session.chat("You summarize texts.", f"{one}\n\nSummarize this.") for one in pieces]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    return work(), time.process_time() - began


def _cost(session: Session, prompts: Sequence[str], length: int) -> dict[str, Any]:
    """Medians over the texts that came to their full length."""
    how = _greedy(length)
    rows: list[tuple[float, float, float, float, int]] = []
    session.generate(prompts[0], how)  # compiles kernels
    for prompt in prompts:
        session.blocks.forget()
        made, writing = _timed(partial(session.generate, prompt, how))
        session.blocks.forget()
        _, reading = _timed(partial(session.rescore, prompt, made.ids, how))
        session.blocks.forget()
        session.score(prompt, [f" {length}", f" {length + 1}"])  # what was scored is not read again
        _, known = _timed(partial(session.rescore, prompt, made.ids, how))
        if len(made.ids) == length:
            rows.append((writing, reading, known, reading / writing, made.prompt_tokens))
    names = ("write", "read", "known", "ratio", "prompt_tokens")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    found: dict[str, Any] = {name: round(statistics.median(each), 3) for name, each in columns}
    return found | {"ratios": [round(row[3], 2) for row in rows]}


def _distances(bundle: Bundle, texts: Sequence[Any], threads: int) -> dict[str, Any]:
    """How far the reader's numbers are from the writer's, at worst."""
    session = Session(bundle, threads=threads)
    means: list[float] = []
    lags: list[float] = []
    faults: list[str] = []
    for text in texts:
        made, how = _generation(text["made"]), _sampling(text["sampling"])
        mine = session.rescore(text["prompt"], made.ids, how)
        written = WrittenText.of(made, told_class(bundle).id)
        means.append(abs(mine.logprob - made.logprob) / len(made.ids))
        lags.append(mine.lag)
        faults += filter(None, [judge(written, mine)])
    return {
        "texts": len(texts),
        "tokens": sum(len(text["made"]["ids"]) for text in texts),
        "mean_apart": float(f"{max(means):.2e}"),
        "lag": float(f"{max(lags):.2e}"),
        "refused": len(faults),
        "why": sorted(set(faults)),
    }


def _generation(made: dict[str, Any]) -> Generation:
    return Generation(**{**made, "ids": tuple(made["ids"])})


def _sampling(how: dict[str, Any]) -> Sampling:
    return Sampling(**{**how, "stop": tuple(how["stop"])})


def _elsewhere(
    texts: Sequence[Any], options: argparse.Namespace, threads: int, environment: dict[str, str]
) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(texts))
        file.flush()
        line = [sys.executable, "-m", "bench.rescore", "--read", file.name]
        line += ["--threads", str(threads), "--home", str(options.home)]
        done = subprocess.run(
            line, env={**os.environ, **environment}, capture_output=True, check=True, timeout=600
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _cheats(session: Session, bundle: Bundle, prompts: Sequence[str]) -> dict[str, Any]:
    """Of each kind: how many were tried and accepted, and the smallest lag that gave one away."""
    fast = Session(bundle, threads=2, arithmetic="quick")  # of a device that wants to be quick
    how = _greedy(TOKENS)
    found: dict[str, dict[str, Any]] = {}
    for kind, prompt, made in _attempts(session, fast, prompts, how):
        mine = session.rescore(prompt, made.ids, how)
        told = made if kind == QUICK else _as_read(session, made, mine)
        seen = found.setdefault(kind, {"tried": 0, "accepted": 0, "least_lag": inf})
        seen["tried"] += 1
        seen["accepted"] += not judge(WrittenText.of(told, ""), mine)
        if isfinite(mine.lag):
            seen["least_lag"] = min(seen["least_lag"], round(mine.lag, 4))
    for seen in found.values():  # JSON has no infinity
        seen["least_lag"] = seen["least_lag"] if isfinite(seen["least_lag"]) else None
    return found


def _as_read(session: Session, made: Generation, mine: Rescored) -> Generation:
    """A text with the numbers that its reader has for it."""
    return replace(
        made,
        text=mine.text or session.tokens.decode(made.ids),
        finish=mine.finish or "length",
        logprob=mine.logprob if isfinite(mine.logprob) else 0.0,
    )


def _attempts(
    session: Session, fast: Session, prompts: Sequence[str], how: Sampling
) -> Iterator[tuple[str, str, Generation]]:
    """Kind, prompt, text."""
    random = np.random.default_rng(1)
    for number, prompt in enumerate(prompts):
        made = session.generate(prompt, how)
        honest, place = made.ids, int(random.integers(0, len(made.ids) - 1))
        altered = (*honest[:place], honest[place] + 1, *honest[place + 1 :])
        yield "one token altered", prompt, replace(made, ids=altered)
        drawn = tuple(random.integers(100, 40_000, len(honest)).tolist())
        yield "random", prompt, replace(made, ids=drawn)
        other = session.generate(prompts[number - 1], how)
        if other.ids != honest:
            yield "another prompt's", prompt, other
        longer = session.generate(prompt, replace(how, max_tokens=how.max_tokens + 8))
        if len(longer.ids) > how.max_tokens:
            yield "too long", prompt, longer
        yield QUICK, prompt, fast.generate(prompt, how)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=int, default=16, metavar="N")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--home", type=Path, default=default_home(), metavar="FOLDER")
    parser.add_argument("--read", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
