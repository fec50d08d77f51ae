"""openvino-genai for `bench.models`: its pipeline of requests, as its LLMPipeline sets it up."""

import json
import sys
import time
from itertools import count as numbers
from typing import Any

from bench.model_peers.line import Peer, serve

_ALL = 1 << 20  # tokens of a pass: its own choice for one user
_END = 2


class OpenVinoGenai:
    """`hints` of the settings: the processor's choice of arithmetic where empty."""

    def __init__(self, given: dict[str, Any]) -> None:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # tells nobody
        import numpy as np
        import openvino
        import openvino_genai

        self._given, self._np, self._ov, self._genai = given, np, openvino, openvino_genai
        self._number = numbers()

    def load(self) -> None:
        """Graph and tokenizer."""
        scheduler = self._genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.max_num_batched_tokens = _ALL
        folder = self._given["folder"]
        self._tokenizer = self._genai.Tokenizer(folder)
        self._pipeline = self._genai.ContinuousBatchingPipeline(
            folder,
            self._tokenizer,
            scheduler,
            "CPU",
            INFERENCE_NUM_THREADS=self._given["threads"],
            **self._given["hints"],
        )

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """One request."""
        began = time.perf_counter()
        handle = self._begin(ids, max_new_tokens=count, ignore_eos=True)
        while not handle.can_read():
            self._pipeline.step()
        first = time.perf_counter()
        self._finish()
        return {"first": first - began, "rest": time.perf_counter() - first, "tokens": count}

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """All requests at once."""
        began = time.perf_counter()
        handles = [self._begin(ids, max_new_tokens=count, ignore_eos=True) for ids in prompts]
        self._finish()  # a handle let go would end its request
        seconds = time.perf_counter() - began
        made = (len(handle.read_all()[0].generated_ids) for handle in handles)
        return {"seconds": seconds, "tokens": sum(made)}

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """By its echo of the prompt, which reads the prefix once for each option: what was known
        already comes without log-probabilities."""
        began = time.perf_counter()
        handles = [self._echo(prefix + option) for option in options]
        self._finish()
        found = [self._echoed(handle)[len(prefix) :] for handle in handles]
        return {"seconds": time.perf_counter() - began, "logprobs": list(map(sum, found))}

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """Its prefix cache knows whole blocks of 32 tokens."""
        self.write(prefix, 1)
        return {"first": self.write(prefix + suffix, 1)["first"]}

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """By xgrammar, which is built in."""
        structured = self._genai.StructuredOutputConfig(json_schema=json.dumps(schema))
        began = time.perf_counter()
        handle = self._begin(
            ids,
            max_new_tokens=most,
            eos_token_id=_END,
            stop_token_ids={_END},
            structured_output_config=structured,
        )
        self._finish()
        (made,) = handle.read_all()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "text": self._tokenizer.decode(made.generated_ids)}

    def logprob(self, window: list[int]) -> dict[str, float]:
        """By its echo of the prompt."""
        handle = self._echo(window)
        self._finish()
        return {"logprob": sum(self._echoed(handle)[1:])}

    def _begin(self, ids: list[int], **settings: Any) -> Any:
        config = self._genai.GenerationConfig(**settings)
        tensor = self._ov.Tensor(self._np.array([ids]))
        return self._pipeline.add_request(next(self._number), tensor, config)

    def _echo(self, ids: list[int]) -> Any:
        return self._begin(ids, max_new_tokens=1, ignore_eos=True, echo=True, logprobs=1)

    def _echoed(self, handle: Any) -> list[float]:
        """Of the prompt's tokens: the last one is of the token that it wrote."""
        (made,) = handle.read_all()
        assert len(made.generated_log_probs) == len(made.generated_ids), "some were known already"
        return list(made.generated_log_probs[:-1])

    def _finish(self) -> None:
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def _make(given: dict[str, Any]) -> Peer:
    return OpenVinoGenai(given)


if __name__ == "__main__":
    serve(_make)
