"""One compiled OpenVINO graph that reads pieces of many sequences in one pass.

Optimum's graph keeps its keys and values itself, for one batch of equal lengths. OpenVINO can turn
it into one that is told where they lie (`paged_attention_transformation`): so sequences of any
length are read together, and many read one beginning. Guards: numbers are those of the arithmetic
that was asked for, whoever else is in a pass; logits are computed only where they are wanted.

Knows token ids and blocks only. Not thread-safe: one thread at a time.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pockethive.core.errors import ModelError
from pockethive.inference.blocks import BLOCK, blocks_for
from pockethive.inference.pages import code_pages, file_pages, give_back, give_up, trim_heap
from pockethive.inference.silent_openvino import openvino as ov
from pockethive.inference.silent_openvino import opset as ops
from pockethive.inference.silent_openvino import transformations
from pockethive.inference.slices import (
    Contents,
    Pass,
    Slice,
    accompanied,
    filling,
    padded,
    padded_rows,
    passes,
)

EXACT: Final = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}
"""What makes the numbers alike on every device: weights are int8, all else float32."""

FAST: Final[dict[str, object]] = {"KEY_CACHE_QUANT_MODE": "BY_TOKEN"}
"""What the processor does best: int8 activations, bfloat16, keys and values in a byte each.

By token, because OpenVINO's own choice rounds a block's keys together: each new one changes those
before it, and numbers depend on how a prompt was cut.
"""

_FLOATS: Final = (ov.Type.f16, ov.Type.f32, ov.Type.bf16)
_SMALL: Final = 64 << 10  # bytes
_PROBED: Final = 88  # tokens: the least large pass; few tokens go another way


class PagedGraph:
    """A causal language model of Optimum's OpenVINO export.

    `steady`: a token's numbers are the same whether it is read or written, to rounding, as in
    `EXACT`. Other arithmetic has two ways, as `OnnxGraph` has: what is read goes two tokens of a
    sequence or more at once, and no pass has one token alone, whose sums are others. `kernels`:
    eight digits that tell whether another device's numbers are these; none where all have them.
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        arithmetic: dict[str, object],
        *,
        roomy: bool = False,
    ) -> None:
        """Load `openvino_model.xml` of `folder`. Raises ModelError when it is no such model.

        `roomy`: passes of 5 to 80 tokens are up to twice as fast, for about as much memory again as
        the weights take (see `slices.py`).

        The compiled graph is kept nowhere: OpenVINO 2026.4 writes one with this attention, and
        cannot read it back.
        """
        options = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False, **arithmetic}
        try:
            graph = ov.Core().read_model(folder / "openvino_model.xml")
            transformations.paged_attention_transformation(graph)
            _add_rows_and_targets(graph)
            self._weights = _set_small_apart(graph)  # held, so that their file stays mapped
            compiled = ov.Core().compile_model(graph, "CPU", options)
            self._request = compiled.create_infer_request()
            self._forms = {
                port.any_name: (port.get_element_type(), _widths(port))
                for port in compiled.inputs
                if "cache." in port.any_name
            }
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"OpenVINO cannot load the model: {str(error).splitlines()[0]}",
                where=str(folder),
                cure="build it again with `pockethive models quantize`",
            ) from error
        self._roomy = roomy
        self._spare = 0  # the block of tokens that nobody wants
        self._tensors: tuple[Any, ...] = ()
        self._memory: tuple[npt.NDArray[Any], ...] = ()
        self._read_once = file_pages(folder / "openvino_model.bin")
        self._fresh = True
        self.steady = arithmetic == EXACT
        self.kernels = "" if self.steady else self._probed()

    @property
    def block_bytes(self) -> int:
        """Bytes of one block, all layers together."""
        return sum(int(np.prod(shape)) * kind.size for kind, shape in self._forms.values())

    def provide(self, blocks: int) -> None:
        """Have memory for so many blocks. What was in others is lost."""
        tensors, self._spare = [], blocks
        for name, (kind, shape) in self._forms.items():
            tensor = ov.Tensor(kind, ov.Shape([blocks + 1, *shape]))
            self._request.set_tensor(name, tensor)
            tensors.append(tensor)
        self._tensors = tuple(tensors)
        self._memory = tuple(tensor.data for tensor in tensors)

    def copy(self, copies: Sequence[tuple[int, int]]) -> None:
        """Copy blocks, in this order."""
        for source, target in copies:
            for array in self._memory:
                array[target] = array[source]

    def lose(self, blocks: Sequence[int]) -> None:
        """Give the memory of blocks to the system; what they hold is lost. In order, none twice."""
        runs = [list(run) for _, run in groupby(enumerate(blocks), lambda each: each[1] - each[0])]
        for array in self._memory:
            start, size = array.ctypes.data, array[0].nbytes
            give_up(tuple((start + run[0][1] * size, len(run) * size) for run in runs))

    def dump(self, blocks: Sequence[int]) -> Contents:
        """What blocks hold, as a copy."""
        return tuple(array[list(blocks)] for array in self._memory)

    def load(self, blocks: Sequence[int], contents: Contents) -> None:
        """Put back what `dump` gave. Raises ValueError for another form."""
        for array, content in zip(self._memory, contents, strict=True):
            array[list(blocks)] = content

    def run(self, slices: Sequence[Slice]) -> Pass:
        """Read all slices; where they are many, or memory is dear, in several passes."""
        parts = passes(slices, self._roomy)
        if not self.steady:
            parts = [each for part in parts for each in accompanied(part, self._spare)]
        if len(parts) == 1:
            return self._run(parts[0])
        kept = []
        for part in parts:
            made = self._run(part)
            kept.append(Pass(np.array(made.logits), np.array(made.logprobs)))
        return Pass(
            np.concatenate([each.logits for each in kept]),
            np.concatenate([each.logprobs for each in kept]),
        )

    def _run(self, wanted: Sequence[Slice]) -> Pass:
        """One pass, filled up to one of the sizes that OpenVINO knows already."""
        tokens = sum(len(piece.ids) for piece in wanted)
        least = 1 if self.steady else 2
        size = padded(max(tokens, least), self._roomy)
        filled = [*wanted, *filling(size - tokens, self._spare)]
        given = _laid_out(filled)
        count = sum(len(piece.rows) for piece in wanted)
        out = self._request.infer(given, share_inputs=True, share_outputs=True)
        give_back(self._read_once)
        if self._fresh:  # only now all is packed, and what only that needed can go
            give_back(code_pages("/openvino/libs/"))
            trim_heap()
            self._fresh = False
        return Pass(out[0][:count, 0], out[1][:count])

    def _probed(self) -> str:
        """Eight digits that two devices have in common only if their kernels' numbers are alike."""
        self.provide(blocks_for(_PROBED))
        ids, blocks = [(7 * place + 17) % 256 for place in range(_PROBED)], range(self._spare)
        body = hashlib.sha256()
        for piece in (
            Slice(ids, 0, blocks, range(0, _PROBED, 8), [0] * len(range(0, _PROBED, 8))),
            Slice(ids[:3], 0, blocks[:1], range(3), (0, 0, 0)),
            Slice(ids[:1], 3, blocks[:1], (0,), (0,), word=True),
        ):
            made = self.run([piece])
            body.update(made.logits.tobytes() + made.logprobs.tobytes())
        return body.hexdigest()[:8]


def _laid_out(slices: Sequence[Slice]) -> dict[str, npt.NDArray[Any]]:
    """What the graph is given. Rows that nobody wants repeat the first one."""
    counts = [len(piece.ids) for piece in slices]
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    tables = np.concatenate(([0], np.cumsum([len(piece.blocks) for piece in slices])))
    rows = [
        int(start) + row
        for start, piece in zip(starts[:-1], slices, strict=True)
        for row in piece.rows
    ]
    targets = [target for piece in slices for target in piece.targets]
    spare = [0] * (padded_rows(max(1, len(rows))) - len(rows))  # OpenVINO wants one at least
    return {
        "input_ids": np.concatenate([piece.ids for piece in slices]).astype(np.int64),
        "position_ids": np.concatenate(
            [np.arange(p.past, p.past + n) for p, n in zip(slices, counts, strict=True)]
        ).astype(np.int64),
        "past_lens": np.array([piece.past for piece in slices], np.int32),
        "subsequence_begins": starts,
        "block_indices": np.concatenate([p.blocks for p in slices]).astype(np.int32),
        "block_indices_begins": tables.astype(np.int32),
        "max_context_len": np.array(
            max(p.past + n for p, n in zip(slices, counts, strict=True)), np.int32
        ),
        "rows": np.array([*rows, *spare], np.int64),
        "targets": np.array([*targets, *spare], np.int64),
    }


def _widths(port: Any) -> list[int]:
    """The shape of a block. Raises ValueError where the kernels want blocks of another length."""
    shape = [side.get_length() for side in list(port.get_partial_shape())[1:]]
    if port.any_name.startswith("value_cache.") and shape[1] != BLOCK:
        raise ValueError(f"blocks of {shape[1]} tokens, expected {BLOCK}")
    return shape


def _set_small_apart(graph: Any) -> list[Any]:
    """Copy scales and norms out of the weights' file; returns the constants that stay there.

    They lie between the weights, and every pass reads them: 64 KB of the file would be in memory
    around each, though they are less than a megabyte in all.
    """
    stay = []
    for node in graph.get_ops():
        if node.get_type_name() != "Constant":
            continue
        kind, size = node.get_element_type(), node.get_byte_size()
        if kind not in _FLOATS or size > _SMALL:
            stay.append(node)
        elif size > kind.size:
            shape = node.get_output_shape(0)
            copy = ov.op.Constant(ov.Tensor(node.data, shape, kind), shared_memory=False)
            for port in node.output(0).get_target_inputs():
                port.replace_source_output(copy.output(0))
    return stay


def _add_rows_and_targets(graph: Any) -> None:
    """Compute logits only where asked, and log-probabilities inside the graph."""
    head = graph.get_results()[0].input_value(0).get_node()
    if head.get_type_name() != "MatMul":
        raise ValueError(f"the last operation is {head.get_type_name()}, expected MatMul")
    rows = ops.parameter([-1], np.int64, name="rows")
    targets = ops.parameter([-1], np.int64, name="targets")
    first = ops.constant(0, np.int64)
    head.input(0).replace_source_output(ops.gather(head.input_value(0), rows, first).output(0))
    sides = ops.constant([1, 2], np.int64)
    spread = ops.gather_elements(ops.log_softmax(head, 2), ops.unsqueeze(targets, sides), 2)
    logprobs = ops.squeeze(spread, sides)
    rows.output(0).set_names({"rows"})
    targets.output(0).set_names({"targets"})
    result = ops.result(logprobs)
    result.output(0).set_names({"logprobs"})
    graph.add_parameters([rows, targets])
    graph.add_results([result])
    graph.validate_nodes_and_infer_types()
