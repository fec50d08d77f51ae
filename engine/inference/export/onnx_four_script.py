"""Packs the linear layers of the builder's float graph into four bits, with what that leaves.

A value is `step * code + low` by blocks of 32, as in GGUF's Q4_1. `MatMulNBits` knows whole zero
points only, `step * (code - zero)`, which is off by up to half a step. But by the same amount all
over a block: `left * sum(x)`, a product of its own. So the means of the input's blocks stand behind
the input, and `32 * left`, in four bits, too, behind the weights: one product makes both.

The head, and layers whose rows are no whole blocks, get int8 as GGUF's Q8_0 has it. Guards: the
same weights give the same bytes. Imports nothing of PocketHive.
"""

from typing import Any

_BLOCK = 32
_MOST = 15  # of a code
_OURS = "com.microsoft"
_ROUNDED = 4  # accuracy level: activations in int8


def narrow(model: Any) -> int:
    """Change a float `model` of the builder in place; how many weights its matrices have."""
    from onnx import numpy_helper  # type: ignore[import-not-found,unused-ignore]

    graph = model.graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    packed: dict[str, Any] = {}
    nodes: dict[str, Any] = {}  # by their first output: means are made once
    used: set[str] = set()
    for node in graph.node:
        matrix = _matrix(node, arrays)
        used.add(matrix)
        for each in _instead(node, arrays.get(matrix), packed):
            nodes.setdefault(each.output[0], each)
    needed = {name for node in nodes.values() for name in node.input}
    kept = [each for each in graph.initializer if each.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes.values())
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in packed.items())
    return sum(arrays[name].size for name in used if name)


def _matrix(node: Any, arrays: dict[str, Any]) -> str:
    """The weights that a product or the table of embeddings reads; empty where there are none."""
    place = {"MatMul": 1, "Gather": 0, "Transpose": 0}.get(node.op_type, len(node.input))
    names = [name for name in node.input[place : place + 1] if name in arrays]
    return names[0] if names and arrays[names[0]].ndim == 2 else ""


def _instead(node: Any, weight: Any, packed: dict[str, Any]) -> list[Any]:
    """What stands where `node` stood; arrays for it go into `packed`."""
    import numpy as np

    if node.op_type == "Transpose" and weight is not None:  # a tied head's, to be a table
        packed[node.output[0]] = np.ascontiguousarray(weight.T)
        return []
    if node.op_type != "MatMul" or weight is None:
        return [node]
    whole = len(weight) % _BLOCK == 0 and node.output[0] != "logits"
    return (_in_four_bits if whole else _in_eight)(node, weight, packed)


def _in_four_bits(node: Any, weight: Any, packed: dict[str, Any]) -> list[Any]:
    """The nodes for a product with `weight` [in, out]: the first two by its input's name alone."""
    import numpy as np
    from onnx import helper

    codes, steps, zeros, left = _coded(_blocks(weight))
    more = _coded(_blocks((_BLOCK * left).T))
    parts = zip((codes, steps, zeros), more, strict=False)
    codes, steps, zeros = (np.concatenate(part, axis=1) for part in parts)
    packed[f"{node.name}.codes"] = _pairs(codes)
    packed[f"{node.name}.steps"] = steps
    packed[f"{node.name}.zeros"] = _pairs(zeros)
    source = node.input[0]
    means, both = f"{source}.means", f"{source}.and_means"
    inputs = [both, *(f"{node.name}.{part}" for part in ("codes", "steps", "zeros"))]
    length = len(weight) + left.shape[1]
    return [
        helper.make_node(
            "AveragePool", [source], [means], means, kernel_shape=[_BLOCK], strides=[_BLOCK]
        ),
        helper.make_node("Concat", [source, means], [both], both, axis=-1),
        _product(node, inputs, (length, weight.shape[1]), 4),
    ]


def _in_eight(node: Any, weight: Any, packed: dict[str, Any]) -> list[Any]:
    """The node for a product with `weight` [in, out] in int8, symmetric."""
    import numpy as np

    parts = _blocks(weight)
    steps = np.abs(parts).max(axis=2) / np.float32(127)
    codes = np.rint(parts / np.where(steps == 0, 1, steps)[..., None]) + 128
    packed[f"{node.name}.codes"] = codes.astype(np.uint8)
    packed[f"{node.name}.steps"] = steps
    inputs = [node.input[0], f"{node.name}.codes", f"{node.name}.steps"]
    return [_product(node, inputs, weight.shape, 8)]


def _product(node: Any, inputs: list[str], shape: tuple[int, int], bits: int) -> Any:
    from onnx import helper

    options = {"K": shape[0], "N": shape[1], "bits": bits, "block_size": _BLOCK}
    options["accuracy_level"] = _ROUNDED
    return helper.make_node(
        "MatMulNBits", inputs, list(node.output), node.name, domain=_OURS, **options
    )


def _blocks(weight: Any) -> Any:
    """`weight` [in, out] as [out, blocks, 32]; zeros fill the last one."""
    import numpy as np

    rows = np.ascontiguousarray(weight.T, np.float32)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % _BLOCK)))
    return rows.reshape(len(rows), -1, _BLOCK)


def _coded(parts: Any) -> tuple[Any, Any, Any, Any]:
    """Blocks as codes, steps, whole zero points, and what these leave of each block's lowest.

    `parts` is about `steps * (codes - zeros) + left`.
    """
    import numpy as np

    low = parts.min(axis=2)
    steps = (parts.max(axis=2) - low) / np.float32(_MOST)
    apart = np.where(steps == 0, np.float32(1), steps)
    codes = np.rint((parts - low[..., None]) / apart[..., None]).clip(0, _MOST)
    zeros = np.rint(-low / apart).clip(0, _MOST)
    return codes.astype(np.uint8), steps, zeros.astype(np.uint8), low + zeros * steps


def _pairs(codes: Any) -> Any:
    """Two in a byte along the last axis, the first one low."""
    import numpy as np

    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, codes.shape[-1] % 2)])
    return codes[..., 0::2] | codes[..., 1::2] << 4
