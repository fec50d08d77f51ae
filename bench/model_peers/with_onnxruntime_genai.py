"""onnxruntime-genai for `bench.models`, on what its own builder made of the weights."""

import json
import time
from typing import Any

from bench.model_peers.line import Peer, serve
from bench.model_peers.rows import logprob as summed


class OnnxRuntimeGenai:
    """One generator a prompt; a batch has prompts of one length."""

    def __init__(self, given: dict[str, Any]) -> None:
        import numpy as np
        import onnxruntime_genai  # type: ignore[import-not-found,unused-ignore]  # of the peers

        onnxruntime_genai.disable_telemetry_events()
        self._given, self._np, self._genai = given, np, onnxruntime_genai

    def load(self) -> None:
        """The model; the tokenizer, too, which a text needs."""
        config = self._genai.Config(self._given["folder"])
        options = {"intra_op_num_threads": self._given["threads"]}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = self._genai.Model(config)
        self._tokenizer = self._genai.Tokenizer(self._model)

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """It stops at no token but by number: what ends a text may come again and again."""
        began = time.perf_counter()
        generator = self._generator(len(ids) + count, least=len(ids) + count)
        self._read(generator, [ids])
        generator.generate_next_token()
        first = time.perf_counter()
        for _ in range(count - 1):
            generator.generate_next_token()
        return {"first": first - began, "rest": time.perf_counter() - first, "tokens": count}

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """A batch."""
        length = len(prompts[0]) + count
        began = time.perf_counter()
        generator = self._generator(length, least=length, batch=len(prompts))
        self._read(generator, prompts)
        for _ in range(count):
            generator.generate_next_token()
        return {"seconds": time.perf_counter() - began, "tokens": count * len(prompts)}

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """From logits; one option after another, each wound back: it forks nothing."""
        began = time.perf_counter()
        generator = self._generator(len(prefix) + max(map(len, options)) + 1)
        self._read(generator, [prefix])
        head, found = self._logits(generator)[-1:], []
        for option in options:
            self._read(generator, [option])
            rows = self._np.concatenate([head, self._logits(generator)[:-1]])
            found.append(summed(rows, option))
            generator.rewind_to(len(prefix))
        return {"seconds": time.perf_counter() - began, "logprobs": found}

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """Whoever uses it keeps the generator that has read the prefix."""
        generator = self._generator(len(prefix) + len(suffix) + 1)
        self._read(generator, [prefix])
        began = time.perf_counter()
        self._read(generator, [suffix])
        generator.generate_next_token()
        return {"first": time.perf_counter() - began}

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """By llguidance, which is built in."""
        began = time.perf_counter()
        generator = self._generator(len(ids) + most, schema=json.dumps(schema))
        self._read(generator, [ids])
        while not generator.is_done():
            generator.generate_next_token()
        made = generator.get_sequence(0)[len(ids) :]
        text = self._tokenizer.decode(made)
        return {"seconds": time.perf_counter() - began, "text": text}

    def logprob(self, window: list[int]) -> dict[str, float]:
        """From logits."""
        generator = self._generator(len(window) + 1)
        self._read(generator, [window])
        return {"logprob": summed(self._logits(generator)[:-1], window[1:])}

    def _generator(self, most: int, *, least: int = 0, batch: int = 1, schema: str = "") -> Any:
        settings = self._genai.GeneratorParams(self._model)
        settings.set_search_options(
            max_length=most, min_length=least, batch_size=batch, do_sample=False
        )
        if schema:
            settings.set_guidance("json_schema", schema)
        return self._genai.Generator(self._model, settings)

    def _read(self, generator: Any, prompts: list[list[int]]) -> None:
        generator.append_tokens(self._np.array(prompts, self._np.int32))

    def _logits(self, generator: Any) -> Any:
        return self._np.array(generator.get_output("logits"))[0]


def _make(given: dict[str, Any]) -> Peer:
    return OnnxRuntimeGenai(given)


if __name__ == "__main__":
    serve(_make)
