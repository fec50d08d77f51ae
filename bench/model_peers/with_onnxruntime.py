"""Plain onnxruntime for `bench.models`: the same files as onnxruntime-genai, a bare loop.

Keys and values stay with the run time from pass to pass; they cannot change, so that any number of
texts may go on from one beginning.
"""

import time
from dataclasses import dataclass
from typing import Any

from bench.model_peers.line import Lacks, Peer, serve
from bench.model_peers.rows import logprob as summed

_LAYERS, _HEADS, _WIDTH = 30, 3, 64  # of the default model


@dataclass(frozen=True, slots=True)
class Known:
    """What was read: keys and values by the name of their input, and how many tokens."""

    kept: dict[str, Any]
    tokens: int


class OnnxRuntime:
    """Batches have one length; the attention of these files takes a batch's first pass, or one
    token each."""

    def __init__(self, given: dict[str, Any]) -> None:
        import numpy as np
        import onnxruntime  # type: ignore[import-not-found,unused-ignore]  # of the peers

        self._given, self._np, self._ort = given, np, onnxruntime
        self._names = [f"{n}.{side}" for n in range(_LAYERS) for side in ("key", "value")]

    def load(self) -> None:
        """The session."""
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = self._given["threads"]
        path = f"{self._given['folder']}/model.onnx"
        self._session = self._ort.InferenceSession(path, options, ["CPUExecutionProvider"])
        self._outputs = ["logits", *(f"present.{name}" for name in self._names)]

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """The loop."""
        began = time.perf_counter()
        logits, known = self._pass([ids], self._nothing(1))
        tokens = self._greatest(logits)
        first = time.perf_counter()
        for _ in range(count - 1):
            logits, known = self._pass(tokens, known)
            tokens = self._greatest(logits)
        return {"first": first - began, "rest": time.perf_counter() - first, "tokens": count}

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """A batch."""
        began = time.perf_counter()
        tokens, known = prompts, self._nothing(len(prompts))
        for _ in range(count):
            logits, known = self._pass(tokens, known)
            tokens = self._greatest(logits)
        return {"seconds": time.perf_counter() - began, "tokens": count * len(prompts)}

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """One option after another from the same keys and values."""
        began = time.perf_counter()
        logits, known = self._pass([prefix], self._nothing(1))
        head, found = logits.numpy()[0, -1:], []
        for option in options:
            rows, _ = self._pass([option], known)
            rows = self._np.concatenate([head, rows.numpy()[0, :-1]])
            found.append(summed(rows, option))
        return {"seconds": time.perf_counter() - began, "logprobs": found}

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """Whoever uses it keeps keys and values."""
        _, known = self._pass([prefix], self._nothing(1))
        began = time.perf_counter()
        logits, _ = self._pass([suffix], known)
        self._greatest(logits)
        return {"first": time.perf_counter() - began}

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """It knows logits, not texts."""
        raise Lacks("no grammars")

    def logprob(self, window: list[int]) -> dict[str, float]:
        """From logits."""
        logits, _ = self._pass([window], self._nothing(1))
        return {"logprob": summed(logits.numpy()[0, :-1], window[1:])}

    def _pass(self, prompts: list[list[int]], known: Known) -> tuple[Any, Known]:
        end = known.tokens + len(prompts[0])
        given = {
            "input_ids": self._value(self._np.array(prompts, self._np.int64)),
            "attention_mask": self._value(self._np.ones((len(prompts), end), self._np.int64)),
        }
        made = self._session.run_with_ort_values(self._outputs, given | known.kept)
        names = (f"past_key_values.{name}" for name in self._names)
        return made[0], Known(dict(zip(names, made[1:], strict=True)), end)

    def _nothing(self, batch: int) -> Known:
        empty = self._value(self._np.zeros((batch, _HEADS, 0, _WIDTH), self._np.float32))
        return Known({f"past_key_values.{name}": empty for name in self._names}, 0)

    def _value(self, array: Any) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(array)

    def _greatest(self, logits: Any) -> list[list[int]]:
        found: list[list[int]] = logits.numpy()[:, -1].argmax(axis=1)[:, None].tolist()
        return found


def _make(given: dict[str, Any]) -> Peer:
    return OnnxRuntime(given)


if __name__ == "__main__":
    serve(_make)
