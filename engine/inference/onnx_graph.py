"""One ONNX Runtime graph behind the same door as `PagedGraph`.

Its attention reads and writes keys and values where they lie, side by side: at desks (`desks.py`).
Next words of many texts are one pass; what is read of a prompt is a pass for each. Activations are
rounded to int8: where two sums differ in their last bit, all that follows differs by a tenth of a
nat, as if the model were another. Guards: what is read goes one way (two tokens at once, or more)
and what is written another (one token), whoever else is in a pass and whatever is remembered, so
that a word's numbers are those it has alone, to the bit; `kernels` tells whether another device's
are these.

The graph is made by `export/onnx_script.py`. Knows token ids and blocks only. Not thread-safe.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from pockethive.core.errors import ModelError
from pockethive.inference.blocks import BLOCK, blocks_for
from pockethive.inference.bundle import ONNX_FILES
from pockethive.inference.desks import Bring, Desks, Moves, Return
from pockethive.inference.pages import (
    give_back,
    give_up,
    in_small_pages,
    trim_heap,
    unwritten_pages,
)
from pockethive.inference.slices import MOST, Contents, Floats, Pass, Slice, cut

DESKS: Final = 32
"""Texts that are written in one pass at most."""
_ROOM: Final = 2048  # tokens of a desk at first; memory that was never written on costs nothing
_MUCH: Final = 128  # tokens of a pass, whose activations leave megabytes in the allocator
_PROBE: Final = (17, 3, 29)
_AWAKE: Final = "10"  # microseconds: most waits within a pass are shorter, and waking takes longer
_Part = tuple[Floats, Floats]  # logits and log-probabilities of some rows


class OnnxGraph:
    """A causal language model of the ONNX export."""

    steady: Final = False

    def __init__(self, folder: Path, threads: int, context: int) -> None:
        """Load `model.onnx` of `folder`. Raises ModelError when it is no such model.

        `context`: tokens of a sequence at most.
        """
        self._context = context
        try:
            self._session = onnxruntime.InferenceSession(
                folder / ONNX_FILES[1], _options(threads), ["CPUExecutionProvider"]
            )
            past = [each for each in self._session.get_inputs() if each.name.startswith("past_")]
            self._names = [each.name for each in past]
            self._shapes = [(int(each.shape[1]), int(each.shape[3])) for each in past]
            self._size = int(self._session.get_outputs()[0].shape[1])
            self.provide(1)
            self.kernels = self._probed()
        except _faults() as error:
            raise ModelError(
                f"ONNX Runtime cannot load the model: {str(error).splitlines()[0]}",
                where=str(folder),
                cure="build it again with `pockethive models quantize`",
            ) from error
        self._read_once = unwritten_pages(folder / ONNX_FILES[0])
        give_back(self._read_once)
        trim_heap()

    @property
    def block_bytes(self) -> int:
        """Bytes of one block, all layers together, and of its copy at a desk."""
        return 2 * sum(4 * heads * BLOCK * width for heads, width in self._shapes)

    def provide(self, blocks: int) -> None:
        """Have memory for so many blocks. What was in others is lost."""
        self._shelf = [_empty((blocks, heads, BLOCK, width)) for heads, width in self._shapes]
        self._desks = Desks(DESKS)
        self._furnish(min(_ROOM, self._most))

    def copy(self, copies: Sequence[tuple[int, int]]) -> None:
        """Copy blocks, in this order."""
        for source, target in copies:
            self._make(self._desks.returned([source]))
            for array in self._shelf:
                array[target] = array[source]
            self._desks.changed([target])

    def lose(self, blocks: Sequence[int]) -> None:
        """Give the memory of blocks to the system; what they hold is lost. In order, none twice."""
        give_back(self._read_once)
        if not blocks:
            return
        self._desks.changed(blocks)
        runs = [list(run) for _, run in groupby(enumerate(blocks), lambda each: each[1] - each[0])]
        for array in self._shelf:
            start, size = array.ctypes.data, array[0].nbytes
            give_up(tuple((start + run[0][1] * size, len(run) * size) for run in runs))
        for desk in range(DESKS):
            self._tidy(desk)

    def dump(self, blocks: Sequence[int]) -> Contents:
        """What blocks hold, as a copy."""
        self._make(self._desks.returned(blocks))
        return tuple(array[list(blocks)] for array in self._shelf)

    def load(self, blocks: Sequence[int], contents: Contents) -> None:
        """Put back what `dump` gave. Raises ValueError for another form."""
        for array, content in zip(self._shelf, contents, strict=True):
            array[list(blocks)] = content
        self._desks.changed(blocks)

    def run(self, slices: Sequence[Slice]) -> Pass:
        """Read all slices: next words together, all else one after another."""
        made: dict[int, _Part] = {}
        words = [number for number, piece in enumerate(slices) if piece.word]
        for number, piece in enumerate(slices):
            if not piece.word:
                made[number] = self._read(piece)
        for start in range(0, len(words), DESKS):
            group = words[start : start + DESKS]
            made |= zip(group, self._write([slices[number] for number in group]), strict=True)
        if len(words) < len(slices):  # a word's pages are few, and finding them anew takes longer
            give_back(self._read_once)
        if sum(len(piece.ids) for piece in slices) >= _MUCH:
            trim_heap()
        parts = [made[number] for number in range(len(slices))]
        if len(parts) == 1:
            return Pass(*parts[0])
        logits, logprobs = zip(*parts, strict=True)
        return Pass(np.concatenate(logits), np.concatenate(logprobs))

    # a pass

    def _read(self, piece: Slice) -> _Part:
        """A slice, in pieces of `MOST` tokens."""
        parts = []
        for start in range(0, len(piece.ids), MOST):
            part = cut(piece, start, min(len(piece.ids), start + MOST))
            spare = [0] if len(part.ids) == 1 and part.past + 2 <= self._context else []
            end = part.past + len(part.ids)
            self._make_room(end + len(spare))
            desk, moves = self._desks.seat(part.blocks, part.past)
            self._make(moves)
            parts.append(self._pass(desk, [[*part.ids, *spare]], [part.past], part))
            self._wrote(desk, part, end + len(spare))
        if len(parts) == 1:
            return parts[0]
        logits, logprobs = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(logprobs)

    def _write(self, words: Sequence[Slice]) -> list[_Part]:
        """One token each of as many texts."""
        self._make_room(max(piece.past for piece in words) + 1)
        seats: list[int] = []
        for piece in words:
            desk, moves = self._desks.seat(piece.blocks, piece.past, seats)
            self._make(moves)
            seats.append(desk)
        seats, moves = self._desks.together(seats)
        self._make(moves)
        order = sorted(range(len(words)), key=seats.__getitem__)
        texts = [words[number] for number in order]
        targets = [piece.targets[0] for piece in texts]
        rows = Slice((), 0, (), range(len(texts)), targets)
        ids, pasts = [list(piece.ids) for piece in texts], [piece.past for piece in texts]
        logits, logprobs = self._pass(min(seats), ids, pasts, rows)
        for piece, desk in zip(words, seats, strict=True):
            self._wrote(desk, piece, piece.past + 1)
        places = {number: place for place, number in enumerate(order)}
        return [
            (logits[place : place + 1], logprobs[place : place + 1])
            for place in map(places.__getitem__, range(len(words)))
        ]

    def _pass(
        self, first: int, texts: Sequence[list[int]], pasts: Sequence[int], wanted: Slice
    ) -> _Part:
        """Read texts of one length at neighbouring desks; the rows that a slice wants."""
        tokens, count = len(texts[0]), max(1, len(wanted.rows))
        rows, targets = np.zeros(count, np.int64), np.zeros(count, np.int64)
        rows[: len(wanted.rows)], targets[: len(wanted.rows)] = wanted.rows, wanted.targets
        lengths = np.array(pasts, np.int32) + (tokens - 1)
        binding = self._binding(first, len(texts))
        binding.bind_cpu_input("input_ids", np.array(texts, np.int64))
        binding.bind_cpu_input("lengths", lengths)
        binding.bind_cpu_input("total", np.array(lengths.max() + 1, np.int32))
        binding.bind_cpu_input("rows", rows)
        binding.bind_cpu_input("targets", targets)
        logits, logprobs = np.empty((count, self._size), np.float32), np.empty(count, np.float32)
        for name, array in (("logits", logits), ("logprobs", logprobs)):
            binding.bind_output(name, "cpu", 0, np.float32, list(array.shape), array.ctypes.data)
        self._session.run_with_iobinding(binding)
        return logits[: len(wanted.rows)], logprobs[: len(wanted.rows)]

    def _binding(self, first: int, count: int) -> Any:
        """Keys and values of `count` desks from `first` on, as they go in and come out."""
        found = self._bindings.get((first, count))
        if found is None:
            found = self._bindings[first, count] = self._session.io_binding()
            for name, array in zip(self._names, self._rows, strict=True):
                place = (np.float32, [count, *array.shape[1:]], array[first].ctypes.data)
                found.bind_input(name, "cpu", 0, *place)
                found.bind_output(name.replace("past_key_values", "present"), "cpu", 0, *place)
        return found

    def _probed(self) -> str:
        """Eight digits that two devices have in common only if their kernels' numbers are alike."""
        read = self._pass(0, [list(_PROBE)], [0], Slice((), 0, (), range(3), (0, 0, 0)))
        written = self._pass(0, [[_PROBE[0]]], [3], Slice((), 0, (), (0,), (0,)))
        body = b"".join(array.tobytes() for array in (*read, *written))
        return hashlib.sha256(body).hexdigest()[:8]

    # desks

    @property
    def _most(self) -> int:
        """Tokens of a desk at most: a sequence, and one that nobody wants."""
        return (blocks_for(self._context) + 1) * BLOCK

    def _furnish(self, room: int) -> None:
        """Have desks for `room` tokens; what lay at those before is lost."""
        self._room = room
        self._rows = [_empty((DESKS, heads, room, width)) for heads, width in self._shapes]
        self._used = [0] * DESKS  # tokens that a desk has memory for
        self._bindings: dict[tuple[int, int], Any] = {}

    def _make_room(self, tokens: int) -> None:
        room = self._room
        while room < tokens:
            room = min(2 * room, self._most)
        if room > self._room:
            self._make(self._desks.all_returned())
            self._furnish(room)

    def _wrote(self, desk: int, piece: Slice, touched: int) -> None:
        self._desks.wrote(desk, piece.blocks, piece.past, piece.past + len(piece.ids))
        self._used[desk] = max(self._used[desk], touched)

    def _make(self, moves: Moves) -> None:
        for move in moves:
            if isinstance(move, Bring):
                span = _span(move.place)
                for row, shelf in zip(self._rows, self._shelf, strict=True):
                    row[move.desk, :, span] = shelf[move.block]
                self._used[move.desk] = max(self._used[move.desk], span.stop)
            elif isinstance(move, Return):
                span = _span(move.place)
                for row, shelf in zip(self._rows, self._shelf, strict=True):
                    shelf[move.block] = row[move.desk, :, span]
            else:
                tokens = move.places * BLOCK
                for row in self._rows:
                    row[move.to, :, :tokens] = row[move.desk, :, :tokens]
                self._used[move.to] = max(self._used[move.to], tokens)

    def _tidy(self, desk: int) -> None:
        """Give back what a desk has memory for and nothing lies on."""
        begin, end = self._desks.filled(desk), self._used[desk]
        if end <= begin:
            return
        spans = []
        for row in self._rows:
            heads, each = row.shape[1], row[0, 0, 0].nbytes
            for head in range(heads):
                start = row[desk, head].ctypes.data
                spans.append((start + begin * each, (end - begin) * each))
        give_up(tuple(spans))
        self._used[desk] = begin


def _empty(shape: tuple[int, ...]) -> Floats:
    """An array that takes memory only where it is written on."""
    array = np.empty(shape, np.float32)
    in_small_pages(array.ctypes.data, array.nbytes)
    return array


def _span(place: int) -> slice:
    return slice(place * BLOCK, (place + 1) * BLOCK)


def _options(threads: int) -> Any:
    """No arena, which keeps the most that was ever needed.

    Between the parts of a pass threads wait awake, for microseconds; longer, and after it, asleep.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.spin_duration_us", _AWAKE)
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _faults() -> tuple[type[Exception], ...]:
    """What loading may raise: the run time's kinds are classes of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = ("Fail", "InvalidArgument", "InvalidProtobuf", "InvalidGraph", "NoSuchFile")
    theirs = tuple(getattr(state, kind) for kind in (*kinds, "NotImplemented"))
    return (RuntimeError, ValueError, TypeError, IndexError, *theirs)
