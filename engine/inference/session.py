"""A local model at work, without PyTorch or transformers in the process.

One compiled graph serves every need: free text, streaming, scoring and constrained JSON, for any
number of requests at once. Not thread-safe by design: one thread at a time (the model actor sees to
that). Closing a stream early is safe.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pockethive.core.ports import Answer, Generation, ModelClass, ModelFacts, Rescored, Sampling
from pockethive.core.spec import EXACT
from pockethive.inference.batcher import Ask, Batcher, Order
from pockethive.inference.blocks import BLOCK, Blocks, blocks_for
from pockethive.inference.bundle import Bundle
from pockethive.inference.footprint import LEAST_TOKENS, check_memory, free_memory, loaded_parts
from pockethive.inference.kernels import check_arithmetic, note_kernels, with_kernels
from pockethive.inference.pages import trim_heap
from pockethive.inference.primitives import Primitives
from pockethive.inference.snapshots import SnapshotFiles
from pockethive.inference.tokens import Tokens
from pockethive.inference.works import Works

if TYPE_CHECKING:
    from pockethive.inference.onnx_graph import OnnxGraph
    from pockethive.inference.paged import PagedGraph

T = TypeVar("T")
Work = Generator[Ask, Any, T]

MEMORY: Final = 512 << 20
"""Bytes for keys and values, at most; used as they are needed."""
_REMEMBERED: Final = 0.5  # of it, for what nobody reads at the moment


class Session(Primitives):
    """Implements `Model` and `Shared` of `pockethive.core.ports` over a bundle."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        threads: int = 2,
        cache: Path | None = None,
        arithmetic: str = EXACT,
        roomy: bool = False,
    ) -> None:
        """Load `bundle`. Raises ModelError when memory would not suffice, and tells the sum.

        `cache` is a folder where remembered prompts are kept for the next process. `arithmetic`:
        one of `ARITHMETICS`; `roomy`: see `PagedGraph`. Both are for OpenVINO alone.
        """
        check_arithmetic(bundle, arithmetic)
        free, parts = free_memory(), loaded_parts(bundle)
        check_memory(parts, free, str(bundle.folder))
        self.bundle = bundle
        self.tokens = Tokens(bundle.folder / "tokenizer.json", bundle.card.stop_ids)
        graph = _graph(bundle, threads, arithmetic, roomy=roomy)
        self._class = with_kernels(bundle, graph.kernels)
        note_kernels(bundle, graph.kernels)
        self.block_bytes = graph.block_bytes
        least = blocks_for(min(LEAST_TOKENS, bundle.card.context))
        told = {**parts, f"keys and values of {least * BLOCK} tokens": least * graph.block_bytes}
        check_memory(told, free, str(bundle.folder))
        left = MEMORY if free is None else min(MEMORY, free - sum(parts.values()))
        count = max(1, min(left // graph.block_bytes, 4 * blocks_for(bundle.card.context)))
        graph.provide(count)
        named = f"{self.model_class.sha256} {self.model_class.runtime}"
        files = SnapshotFiles(cache / "prompts", named) if cache else None
        self.blocks = Blocks(count, int(count * _REMEMBERED))
        self.works = Works(self.tokens, bundle.card, files, steady=graph.steady)
        self._batcher = Batcher(graph, self.blocks)

    @property
    def model_class(self) -> ModelClass:
        """What makes two devices' outputs comparable."""
        return self._class

    @property
    def context(self) -> int:
        """Tokens the model can read, prompt and answer together."""
        return self.bundle.card.context

    @property
    def plans(self) -> bool:
        """Whether the card allows free plans."""
        return self.bundle.card.plans

    # many requests at once

    @property
    def under_way(self) -> int:
        """Requests begun and not ended."""
        return len(self._batcher)

    def begin(
        self,
        work: Work[Any],
        done: Callable[[Any, BaseException | None], None],
        *,
        role: str = "",
        until: float = float("inf"),
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """See `pockethive.core.ports.Shared`."""
        self._batcher.add(work, done, order=Order(role=role, deadline=until), wanted=wanted)

    def step(self) -> None:
        """One pass over some tokens of the requests under way.

        What it raises nobody foresaw: the session is of no use any more, and every request is told.
        """
        try:
            self._batcher.step(time.monotonic())
        except Exception as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """End all requests with an error."""
        self._batcher.fail(error)

    def rest(self) -> None:
        """Forget what was read, and give its memory back; while a request is under way nothing.

        What passes of many sizes leave in the allocator's arenas goes, too: kept, it is 2 % of the
        process in half an hour of mixed requests.
        """
        self._batcher.rest()
        if not len(self._batcher):
            trim_heap()

    def facts(self) -> ModelFacts:
        """What it holds and has done."""
        size, blocks = self.block_bytes, self.blocks
        return ModelFacts(
            under_way=len(self._batcher),
            held=size * blocks.used,
            limit=size * blocks.count,
            read=self._batcher.read,
        )

    # one at a time

    def count(self, text: str) -> int:
        """Tokens in `text`."""
        return self.works.count(text)

    def chat(self, system: str, user: str) -> str:
        """The prompt that this model's chat template makes of a turn."""
        places = {"system": self.tokens.plain(system), "user": self.tokens.plain(user)}
        return self.bundle.card.chat_prompt(places)

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """Continue `prompt`. Raises ContextOverflow."""
        return self.run(self.works.generate(prompt, sampling))

    def rescore(self, prompt: str, ids: Sequence[int], sampling: Sampling) -> Rescored:
        """Read `ids` as if `generate` had drawn them. Raises ContextOverflow."""
        return self.run(self.works.rescore(prompt, ids, sampling))

    def stream(self, prompt: str, sampling: Sampling) -> Generator[str, None, Generation]:
        """Pieces of text as they are made; closing the iterator stops the model.

        The generator's return value is what `generate` would have returned.
        """
        pieces: deque[str] = deque()
        ended: list[tuple[Any, BaseException | None]] = []
        open_ = True
        self.begin(
            self.works.generate(prompt, sampling, pieces.append),
            lambda *end: ended.append(end),
            wanted=lambda: open_,
        )
        try:
            while not ended:
                self.step()
                while pieces:
                    yield pieces.popleft()
        finally:
            open_ = False
            if not ended:
                self.step()
        result, error = ended[0]
        if error is not None:
            raise error
        made: Generation = result
        return made

    def constrain(self, prompt: str, schema: dict[str, object], sampling: Sampling) -> Generation:
        """JSON text that satisfies a JSON schema. Raises ModelError if `max_tokens` ran out."""
        return self.run(self.works.constrain(prompt, schema, sampling))

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """Summed log-probability (natural) of each option as the continuation of `prompt`.

        Options are tokenized on their own: begin them with the space that the prompt lacks, and
        end them with what ends an answer in the prompt, or else "1" wins over "12".
        """
        return self.run(self.works.score(prompt, options))

    def remember(self, beginning: str) -> int:
        """Read the beginning of prompts to come, once for all; returns the tokens that took."""
        return self.run(self.works.remember(beginning))

    def answer(self, primitive: str, *given: Any) -> Answer:
        """See `Primitives`."""
        return self.run(self.works.answer(primitive, *given))

    def run(self, work: Work[T]) -> T:
        """One request, to its end, with whatever else is under way."""
        ended: list[tuple[Any, BaseException | None]] = []
        self.begin(work, lambda *end: ended.append(end))
        while not ended:
            self.step()
        result, error = ended[0]
        if error is not None:
            raise error
        made: T = result
        return made


def _graph(
    bundle: Bundle, threads: int, arithmetic: str, *, roomy: bool
) -> "PagedGraph | OnnxGraph":
    """By the run time that the bundle is for; the other one need not be installed."""
    if bundle.for_onnx:
        from pockethive.inference.onnx_graph import OnnxGraph

        return OnnxGraph(bundle.folder, threads, bundle.card.context)
    from pockethive.inference import paged

    chosen = paged.EXACT if arithmetic == EXACT else paged.FAST
    return paged.PagedGraph(bundle.folder, threads, chosen, roomy=roomy)
