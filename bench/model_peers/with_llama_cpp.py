"""llama.cpp for `bench.models`, by llama-cpp-python's bindings to its own functions.

Its `Llama` class reads one text at a time; these functions read several, and fork them.
"""

import ctypes
import json
import time
from typing import Any

from bench.model_peers.line import Peer, serve
from bench.model_peers.rows import logprob as summed

_CONTEXT = 2048  # tokens of all texts together
_TEXTS = 8


class LlamaCpp:
    """`folder` names a GGUF file. Its other settings are its own choice."""

    def __init__(self, given: dict[str, Any]) -> None:
        import llama_cpp  # type: ignore[import-not-found,unused-ignore]  # of the peers
        import numpy as np
        from llama_cpp.llama_grammar import json_schema_to_gbnf  # type: ignore[import-not-found,unused-ignore]

        self._given, self._np, self._llama = given, np, llama_cpp
        self._gbnf = json_schema_to_gbnf

    def load(self) -> None:
        """Model and context."""
        llama, threads = self._llama, self._given["threads"]
        llama.llama_backend_init()
        settings = llama.llama_model_default_params()
        self._model = llama.llama_model_load_from_file(self._given["folder"].encode(), settings)
        assert self._model, "llama.cpp cannot load it"
        wanted = llama.llama_context_default_params()
        wanted.n_ctx = wanted.n_batch = _CONTEXT
        wanted.n_seq_max, wanted.kv_unified = _TEXTS, True
        wanted.n_threads = wanted.n_threads_batch = threads
        self._context = llama.llama_init_from_model(self._model, wanted)
        self._memory = llama.llama_get_memory(self._context)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._size = llama.llama_vocab_n_tokens(self._vocab)
        self._batch = llama.llama_batch_init(_CONTEXT, 0, 1)

    def write(self, ids: list[int], count: int) -> dict[str, float]:
        """One text."""
        self._forget()
        began = time.perf_counter()
        (rows,) = self._read([(0, 0, ids)])
        token = int(rows[-1].argmax())
        first = time.perf_counter()
        for place in range(len(ids), len(ids) + count - 1):
            (rows,) = self._read([(0, place, [token])])
            token = int(rows[-1].argmax())
        return {"first": first - began, "rest": time.perf_counter() - first, "tokens": count}

    def together(self, prompts: list[list[int]], count: int) -> dict[str, float]:
        """As many texts in one batch."""
        self._forget()
        began = time.perf_counter()
        pieces = [(text, 0, ids) for text, ids in enumerate(prompts)]
        for _ in range(count):
            made = self._read(pieces)
            pieces = [
                (text, place + len(ids), [int(rows[-1].argmax())])
                for (text, place, ids), rows in zip(pieces, made, strict=True)
            ]
        return {"seconds": time.perf_counter() - began, "tokens": count * len(prompts)}

    def score(self, prefix: list[int], options: list[list[int]]) -> dict[str, Any]:
        """Options side by side, on forks of the prefix."""
        self._forget()
        began = time.perf_counter()
        (head,) = self._read([(0, 0, prefix)])
        for text in range(1, len(options)):
            self._llama.llama_memory_seq_cp(self._memory, 0, text, 0, -1)
        pieces = [(text, len(prefix), option) for text, option in enumerate(options)]
        made = self._read(pieces, all_rows=True)
        found = [
            summed(self._np.concatenate([head, rows[:-1]]), option)
            for rows, option in zip(made, options, strict=True)
        ]
        return {"seconds": time.perf_counter() - began, "logprobs": found}

    def again(self, prefix: list[int], suffix: list[int]) -> dict[str, float]:
        """Whoever uses it keeps the text that has read the prefix."""
        self._forget()
        self._read([(0, 0, prefix)])
        began = time.perf_counter()
        (rows,) = self._read([(0, len(prefix), suffix)])
        int(rows[-1].argmax())
        return {"first": time.perf_counter() - began}

    def constrain(self, ids: list[int], schema: dict[str, Any], most: int) -> dict[str, Any]:
        """By its grammars. As its own programs do, the most probable token is tried first, and
        all others only if it does not fit."""
        self._forget()
        began = time.perf_counter()
        grammar = self._llama.llama_sampler_init_grammar(
            self._vocab, self._gbnf(json.dumps(schema)).encode(), b"root"
        )
        made: list[int] = []
        (rows,) = self._read([(0, 0, ids)])
        while len(made) < most:
            token = self._fitting(grammar, rows[-1])
            if self._llama.llama_vocab_is_eog(self._vocab, token):
                break
            self._llama.llama_sampler_accept(grammar, token)
            (rows,) = self._read([(0, len(ids) + len(made), [token])])
            made.append(token)
        self._llama.llama_sampler_free(grammar)
        return {"seconds": time.perf_counter() - began, "text": self._text(made)}

    def logprob(self, window: list[int]) -> dict[str, float]:
        """From logits."""
        self._forget()
        (rows,) = self._read([(0, 0, window)], all_rows=True)
        return {"logprob": summed(rows[:-1], window[1:])}

    def _forget(self) -> None:
        self._llama.llama_memory_clear(self._memory, False)  # noqa: FBT003  # its own signature

    def _read(
        self, pieces: list[tuple[int, int, list[int]]], *, all_rows: bool = False
    ) -> list[Any]:
        """One pass over (text, place, token ids) each; logits of each, of its last token alone
        unless all are wanted. Valid until the next pass."""
        batch, count, wanted = self._batch, 0, []
        for text, place, ids in pieces:
            start = count
            for number, token in enumerate(ids):
                batch.token[count], batch.pos[count] = token, place + number
                batch.n_seq_id[count], batch.seq_id[count][0] = 1, text
                batch.logits[count] = all_rows or number == len(ids) - 1
                count += 1
            wanted.append(range(start if all_rows else count - 1, count))
        batch.n_tokens = count
        failed = self._llama.llama_decode(self._context, batch)
        assert not failed, f"llama_decode returned {failed}"
        return [self._np.stack([self._row(place) for place in places]) for places in wanted]

    def _row(self, place: int) -> Any:
        pointer = self._llama.llama_get_logits_ith(self._context, place)
        return self._np.ctypeslib.as_array(pointer, (self._size,))

    def _fitting(self, grammar: Any, row: Any) -> int:
        best = int(row.argmax())
        if self._np.isfinite(self._allowed(grammar, row[[best]], [best])[0]):
            return best
        allowed = self._allowed(grammar, row, self._np.arange(self._size))
        return int(allowed.argmax())

    def _allowed(self, grammar: Any, logits: Any, ids: Any) -> Any:
        """The logits, with what does not fit at minus infinity."""
        kind = [("id", "i4"), ("logit", "f4"), ("p", "f4")]
        given = self._np.zeros(len(logits), kind)
        given["id"], given["logit"] = ids, logits
        data = given.ctypes.data_as(ctypes.POINTER(self._llama.llama_token_data))
        array = self._llama.llama_token_data_array(data, len(logits), -1, False)  # noqa: FBT003
        self._llama.llama_sampler_apply(grammar, ctypes.byref(array))
        return given["logit"]

    def _text(self, ids: list[int]) -> str:
        room = ctypes.create_string_buffer(64)
        parts = []
        for token in ids:
            size = self._llama.llama_token_to_piece(self._vocab, token, room, 64, 0, False)  # noqa: FBT003
            parts.append(room.raw[:size])
        return b"".join(parts).decode("utf-8", "replace")


def _make(given: dict[str, Any]) -> Peer:
    return LlamaCpp(given)


if __name__ == "__main__":
    serve(_make)
