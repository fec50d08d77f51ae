"""Makes the graph that ONNX Runtime reads, inside the quantizer's own environment.

onnxruntime-genai's builder writes it: weights in int8 by blocks of 32, activations rounded to int8
on the way (`MatMulNBits`, accuracy level 4), attention that reads and writes keys and values where
they lie (`GroupQueryAttention`). Its inputs are made those that a batcher has, its table of
embeddings int8 (the head's own bytes, where they are the same), its last numbers log-probabilities.

    input_ids [texts, tokens]   lengths [texts], less one   total: the greatest of them, not less
    rows, targets [rows]: places in all tokens; the token whose log-probability is wanted there
    past_key_values.N.key, .value and present.N.… [texts, heads, room, width]: the same memory
    logits [rows, vocabulary]   logprobs [rows]

Guards: the same weights give the same bytes; what is larger than some pages lies in a file of its
own, which is mapped. Imports nothing of PocketHive.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

GRAPH, WEIGHTS = "model.onnx", "model.onnx.data"
_SMALL = 32 << 10  # bytes that stay in the graph's own file
_PAGE = 4096
_ZERO = 128  # of unsigned int8
_OURS = "com.microsoft"


def build(weights: str, target: Path, scratch: Path, *, four_bits: bool = False) -> int:
    """Make both files in `target` of a folder as transformers saves it; how many weights it has.

    `four_bits`: linear layers as `onnx_four_script.py` packs them, instead of int8.
    """
    import onnx  # type: ignore[import-not-found,unused-ignore]  # in the tool environment

    kind = "fp32" if four_bits else "int8"
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-e", "cpu", "-p", kind]
    command += ["-m", weights, "-o", str(scratch), "-c", str(scratch)]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}  # all that it needs lies in the folder
    subprocess.run(command, check=True, env=offline)  # noqa: S603  # this interpreter, our arguments, no shell
    config = json.loads((scratch / "genai_config.json").read_text(encoding="utf-8"))
    width = config["model"]["decoder"]["head_size"]
    model = onnx.load(scratch / GRAPH)
    if not four_bits:
        return rework(model, width, target)
    from onnx_four_script import narrow  # type: ignore[import-not-found,unused-ignore]  # beside

    parameters = int(narrow(model))
    rework(model, width, target)
    return parameters


def rework(model: Any, width: int, target: Path) -> int:
    """Write the builder's model with our inputs and outputs; how many weights it has."""
    from onnx import helper, numpy_helper  # type: ignore[import-not-found,unused-ignore]

    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = list(model.graph.node)
    head = next(node for node in nodes if node.output[0] == "logits")
    table = next(node for node in nodes if list(node.input[1:2]) == ["input_ids"])
    for node in nodes:
        if node.op_type == "GroupQueryAttention":
            node.input[5], node.input[6] = "lengths", "total"
    put = {table.name: [_embedding(table, head, arrays)], head.name: _ending(head, arrays)}
    inputs, outputs = _ports(model.graph, width)
    made = [each for node in nodes for each in put.get(node.name, [node])]
    kept, needed = _needed(made, [port.name for port in outputs])
    arrays = {name: array for name, array in arrays.items() if name in needed}
    stored = _stored(arrays, target / WEIGHTS)
    graph = helper.make_graph(kept, "decoder", inputs, outputs, stored)
    opsets = sorted(model.opset_import, key=lambda each: str(each.domain))
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    (target / GRAPH).write_bytes(whole.SerializeToString(deterministic=True))
    own = {array.tobytes(): array.size for array in arrays.values() if array.dtype.itemsize == 1}
    return sum(own.values())


def read(target: Path, windows: list[list[int]]) -> list[Any]:
    """Logits [tokens, vocabulary] of each window, all its tokens read at once."""
    import numpy as np
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    session = onnxruntime.InferenceSession(target / GRAPH, providers=["CPUExecutionProvider"])
    past = [port for port in session.get_inputs() if port.name.startswith("past_")]
    made = []
    for window in windows:
        count = len(window)
        given = {
            "input_ids": np.array([window], np.int64),
            "lengths": np.array([count - 1], np.int32),
            "total": np.array(count, np.int32),
            "rows": np.arange(count),
            "targets": np.zeros(count, np.int64),
        }
        shapes = {port.name: (1, port.shape[1], count, port.shape[3]) for port in past}
        given |= {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        made.append(session.run(["logits"], given)[0])
    return made


def _embedding(table: Any, head: Any, arrays: dict[str, Any]) -> Any:
    """Rows of int8 where the builder has a table of floats."""
    import numpy as np
    from onnx import helper

    floats, block = arrays[table.input[0]], _attribute(head, "block_size")
    parts = floats.reshape(len(floats), -1, block)
    packed, steps = (arrays[name] for name in head.input[1:3])
    if packed.size == floats.size and not list(head.input[3:]):
        steps = steps.reshape(len(floats), -1)
        rows = packed.reshape(parts.shape)
    if packed.size != floats.size or not _near(rows, steps, parts):
        steps = np.abs(parts).max(axis=2) / (_ZERO - 1)
        rows = np.rint(parts / np.where(steps == 0, 1, steps)[..., None]) + _ZERO
    arrays["embedding"] = rows.astype(np.uint8).reshape(floats.shape)
    arrays["embedding_scales"] = steps.astype(np.float32)
    options = {"bits": 8, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
    inputs = ["embedding", "input_ids", "embedding_scales"]
    return helper.make_node(
        "GatherBlockQuantized", inputs, table.output, table.name, domain=_OURS, **options
    )


def _near(rows: Any, steps: Any, parts: Any) -> bool:
    """Whether int8 `rows` are what `parts` [size, blocks, block] become at `steps`."""
    import numpy as np

    away = np.abs((rows.astype(np.float32) - _ZERO) * steps[..., None] - parts)
    return bool((away.max(axis=2) <= np.abs(steps) + 1e-6).all())


def _ending(head: Any, arrays: dict[str, Any]) -> list[Any]:
    """The head on the rows that are wanted, and the log-probabilities of targets."""
    import numpy as np
    from onnx import helper

    arrays["flat"] = np.array([-1, _attribute(head, "K")], np.int64)
    arrays["across"] = np.array([1], np.int64)
    hidden = head.input[0]
    head.input[0] = "wanted"
    return [
        helper.make_node("Reshape", [hidden, "flat"], ["tokens"], "tokens"),
        helper.make_node("Gather", ["tokens", "rows"], ["wanted"], "wanted", axis=0),
        head,
        helper.make_node("Unsqueeze", ["targets", "across"], ["columns"], "columns"),
        helper.make_node("GatherElements", ["logits", "columns"], ["likes"], "likes", axis=1),
        helper.make_node("ReduceLogSumExp", ["logits", "across"], ["all"], "all", keepdims=1),
        helper.make_node("Sub", ["likes", "all"], ["shares"], "shares"),
        helper.make_node("Squeeze", ["shares", "across"], ["logprobs"], "logprobs"),
    ]


def _ports(graph: Any, width: int) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper

    def port(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def kept(each: Any) -> Any:
        heads = each.type.tensor_type.shape.dim[1].dim_value
        return port(each.name, ["texts", heads, "room", width])

    inputs = [
        port("input_ids", ["texts", "tokens"], TensorProto.INT64),
        port("lengths", ["texts"], TensorProto.INT32),
        port("total", [], TensorProto.INT32),
        port("rows", ["rows"], TensorProto.INT64),
        port("targets", ["rows"], TensorProto.INT64),
    ]
    inputs += [kept(each) for each in graph.input if each.name.startswith("past_")]
    size = next(each for each in graph.output if each.name == "logits")
    vocabulary = size.type.tensor_type.shape.dim[2].dim_value
    outputs = [port("logits", ["rows", vocabulary]), port("logprobs", ["rows"])]
    return inputs, outputs + [kept(each) for each in graph.output if each.name != "logits"]


def _needed(nodes: list[Any], outputs: list[str]) -> tuple[list[Any], set[str]]:
    """The nodes that outputs depend on, and the names of all that is read."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1], needed


def _stored(arrays: dict[str, Any], path: Path) -> list[Any]:
    """All arrays for a graph: the large ones in a file, each of their bytes once."""
    from onnx import TensorProto, helper

    places: dict[bytes, int] = {}
    made = []
    with path.open("wb") as file:
        for name, array in arrays.items():
            kind, body = helper.np_dtype_to_tensor_dtype(array.dtype), array.tobytes()
            tensor = TensorProto(name=name, data_type=kind, dims=array.shape)
            made.append(tensor)
            if len(body) <= _SMALL:
                tensor.raw_data = body
                continue
            if body not in places:
                file.write(bytes(-file.tell() % _PAGE))
                places[body] = file.tell()
                file.write(body)
            tensor.data_location = TensorProto.EXTERNAL
            where = {"location": WEIGHTS, "offset": places[body], "length": len(body)}
            for key, value in where.items():
                tensor.external_data.add(key=key, value=str(value))
    return made


def _attribute(node: Any, name: str) -> int:
    return next(int(each.i) for each in node.attribute if each.name == name)
