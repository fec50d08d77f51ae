"""Texts as points: what means alike points alike, in whatever words.

An encoder's rows for the tokens of a text are averaged and made one long (Reimers and Gurevych
2019, "Sentence-BERT", arXiv 1908.10084). It is run by OpenVINO in the processor's own arithmetic:
rows only propose, nobody compares them between devices. Guards: batches are bounded, a text is read
as far as its card says; what a text gives does not depend on its batch but for rounding.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from pockethive.core.errors import ModelError
from pockethive.inference.embedding_bundle import EmbeddingBundle, find_embeddings, open_embedding
from pockethive.inference.silent_openvino import openvino as ov
from pockethive.inference.slices import Floats

BATCH: Final = 8  # texts that are read together; more gain nothing and take memory
_MOST_READ: Final = 4000  # characters of a text that are cut into tokens at all

Row = tuple[float, ...]


class Embedder:
    """Implements `Embeds` of `pockethive.core.ports`. Any thread; calls wait for one another."""

    def __init__(self, bundle: EmbeddingBundle, threads: int) -> None:
        """Load it: 0.2 s of processor time. Raises ModelError when it is no encoder."""
        self.bundle, self._busy = bundle, threading.Lock()
        try:
            self._tokens = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
            self._tokens.no_padding()
            self._tokens.enable_truncation(bundle.card.longest)
            options = {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
            graph = ov.Core().compile_model(bundle.folder / "openvino_model.xml", "CPU", options)
        except Exception as error:  # both libraries raise what they like
            raise ModelError(
                f"the embedding model cannot be loaded: {error}",
                where=str(bundle.folder),
                cure="get it again: `pockethive models get NAME`",
            ) from error
        self._given = [port.any_name for port in graph.inputs]
        self._request = graph.create_infer_request()

    @property
    def id(self) -> str:
        """The hash of its weights."""
        return self.bundle.card.sha256

    @property
    def width(self) -> int:
        """Figures in a row."""
        return self.bundle.card.width

    def embed(self, texts: Sequence[str]) -> tuple[Row, ...]:
        """A row of length one for each text, in their order."""
        with self._busy:
            ids = [self._tokens.encode(text[:_MOST_READ]).ids for text in texts]
            order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
            rows: dict[int, Row] = {}
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                made = self._read([ids[place] for place in places])
                rows |= zip(places, map(tuple, made.tolist()), strict=True)
        return tuple(rows[place] for place in range(len(ids)))

    def _read(self, batch: Sequence[Sequence[int]]) -> Floats:
        shape = (len(batch), max(map(len, batch)))
        ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        made = self._request.infer({name: feed[name] for name in self._given})[0]
        total = (np.asarray(made, np.float32) * mask[..., None]).sum(axis=1)
        length: Floats = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.maximum(length, 1e-12), np.float32)


def find_embedder(home: Path, threads: int) -> Embedder | None:
    """The first embedding model of a home at work, None when there is none. Raises ModelError."""
    folders = find_embeddings(home)
    return Embedder(open_embedding(folders[0]), threads) if folders else None
