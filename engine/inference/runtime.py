"""One compiled OpenVINO graph and its key-value state.

Rule guarded here: numbers are the same on every device. Weights are int8, but arithmetic and the
key-value state are float32, so that a peer can score again what another has made, and a prompt
scores alike whether its prefix was cached or read anew.

Knows token ids only. Not thread-safe: one thread at a time.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pockethive.core.errors import ModelError
from pockethive.inference.silent_openvino import openvino as ov
from pockethive.inference.silent_openvino import opset as ops

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

ARITHMETIC = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}
"""What makes the numbers alike on every device. Processors with int8 or bfloat16 units would read
prompts faster without it; `bench/inference.py` says by how much."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the state after some tokens: one array `[1, heads, tokens, width]` per variable."""

    arrays: tuple[Floats, ...]

    @property
    def tokens(self) -> int:
        """How many tokens it holds."""
        return int(self.arrays[0].shape[2])

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(array.nbytes for array in self.arrays)


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass gives. Both arrays are only valid until the next pass.

    `logits` has shape [batch, rows, vocabulary]; `logprobs` [batch, rows] is the natural
    log-probability of the given targets.
    """

    logits: Floats
    logprobs: Floats


class Runtime:
    """A causal language model of Optimum's OpenVINO export (`input_ids`, `beam_idx`, …)."""

    def __init__(self, folder: Path, threads: int, cache: Path | None = None) -> None:
        """Load `openvino_model.xml` of `folder`; raises ModelError when it is no such model.

        With `cache`, the compiled graph is kept there and mapped by the next process (0.25 s of CPU
        instead of 2). One process at a time compiles: others would read a half-written file.
        """
        core = ov.Core()
        if cache is not None:
            core.set_property({"CACHE_DIR": str(cache)})
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            **ARITHMETIC,
        }
        try:
            graph = core.read_model(folder / "openvino_model.xml")
            _add_rows_and_targets(graph)
            with _alone(cache):
                compiled = core.compile_model(graph, "CPU", options)
            self._request = compiled.create_infer_request()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"OpenVINO cannot load the model: {str(error).splitlines()[0]}",
                where=str(folder),
                cure="build it again with `pockethive models quantize`",
            ) from error
        self.length = 0

    def reset(self) -> None:
        """Forget every token."""
        self._request.reset_state()
        self.length = 0

    def read(self, ids: Ids, *, rows: Ids | None = None, targets: Ids | None = None) -> Step:
        """Read `ids` [batch, n] after what was read before.

        `rows` are the positions within `ids` whose logits are wanted (default: the last one);
        `targets` [batch, rows] the token ids whose log-probability is wanted there. A batch after
        a single sequence forks it: every row continues that sequence.
        """
        batch, count = ids.shape
        rows = np.array([count - 1], np.int64) if rows is None else rows
        start, end = self.length, self.length + count
        out = self._request.infer(
            {
                "input_ids": ids,
                "attention_mask": np.ones((batch, end), np.int64),
                "position_ids": np.arange(start, end)[None].repeat(batch, 0),
                "beam_idx": np.zeros(batch, np.int32),
                "rows": rows,
                "targets": np.zeros((batch, len(rows)), np.int64) if targets is None else targets,
            },
            share_inputs=True,
            share_outputs=True,
        )
        self.length = end
        return Step(out[0], out[1])

    def snapshot(self, tokens: int) -> Snapshot:
        """A copy of the state after the first `tokens` tokens of the first sequence."""
        states = self._request.query_state()
        return Snapshot(tuple(s.state.data[:1, :, :tokens].copy() for s in states))

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`."""
        self._request.reset_state()
        for state, array in zip(self._request.query_state(), snapshot.arrays, strict=True):
            state.state = ov.Tensor(array)
        self.length = snapshot.tokens


@contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """Hold a folder's lock for a while, against other processes."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _add_rows_and_targets(graph: Any) -> None:
    """Compute logits only where asked, and log-probabilities inside the graph.

    Optimum's graph gives logits for every position: 100 MB for 512 tokens of this vocabulary, most
    of them never looked at.
    """
    head = graph.get_results()[0].input_value(0).get_node()
    if head.get_type_name() != "MatMul":
        raise ValueError(f"the last operation is {head.get_type_name()}, expected MatMul")
    rows = ops.parameter([-1], np.int64, name="rows")
    targets = ops.parameter([-1, -1], np.int64, name="targets")
    axis = ops.constant(1, np.int64)
    head.input(0).replace_source_output(ops.gather(head.input_value(0), rows, axis).output(0))
    last = ops.constant([2], np.int64)
    spread = ops.gather_elements(ops.log_softmax(head, 2), ops.unsqueeze(targets, last), 2)
    logprobs = ops.squeeze(spread, last)
    rows.output(0).set_names({"rows"})
    targets.output(0).set_names({"targets"})
    result = ops.result(logprobs)
    result.output(0).set_names({"logprobs"})
    graph.add_parameters([rows, targets])
    graph.add_results([result])
    graph.validate_nodes_and_infer_types()
