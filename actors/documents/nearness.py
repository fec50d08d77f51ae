"""Which passages mean what a question means, also in other words; used where a model for it is.

Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009) joins this order with another one: only
places count, since scores of two kinds do not compare. Rule guarded here: nearness proposes what is
read, and says when nothing is worth it; what was embedded once is remembered, within bounds.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from pockethive.core.errors import ModelError
from pockethive.core.ports import Embeds

_log = logging.getLogger(__name__)

_REMEMBERED = 4096  # texts; a row of 384 figures takes 12 KB
_FUSED = 60  # as in the paper: how little the first places stand out


class Nearness:
    """Rows of texts, made when first needed. `load`: brings the model; None or raises: without it.

    Any thread.
    """

    def __init__(self, load: Callable[[], Embeds | None]) -> None:
        self._load, self._busy = load, threading.Lock()
        self._loaded = False
        self._embedder: Embeds | None = None
        self._rows: OrderedDict[str, Sequence[float]] = OrderedDict()

    def order(self, question: str, texts: Sequence[str]) -> list[int] | None:
        """The places of the texts, the nearest to the question first; None without a model."""
        near = self.cosines(question, texts)
        return None if near is None else by_nearness(near)

    def cosines(self, question: str, texts: Sequence[str]) -> list[float] | None:
        """How near each text is to the question: cosines, -1 to 1; None without a model."""
        with self._busy:
            if (embedder := self._ready()) is None:
                return None
            wanted = dict.fromkeys((question, *texts))
            new = [text for text in wanted if text not in self._rows]
            rows = {text: self._rows[text] for text in wanted if text in self._rows}
            rows |= zip(new, embedder.embed(new), strict=True)
            self._remember(rows)
        asked = rows[question]
        return [sum(a * b for a, b in zip(asked, rows[text], strict=True)) for text in texts]

    def _ready(self) -> Embeds | None:
        if not self._loaded:
            self._loaded = True
            try:
                self._embedder = self._load()
            except ModelError as error:
                _log.warning("searching by words alone: %s", error)
        return self._embedder

    def _remember(self, rows: dict[str, Sequence[float]]) -> None:
        for text, row in rows.items():
            self._rows[text] = row
            self._rows.move_to_end(text)
        while len(self._rows) > _REMEMBERED:
            self._rows.popitem(last=False)


def by_nearness(near: Sequence[float]) -> list[int]:
    """Places, the nearest first."""
    return sorted(range(len(near)), key=lambda place: (-near[place], place))


def fused(*orders: Sequence[int]) -> list[int]:
    """One order of several of the same places; ties fall as in the first."""
    scores = dict.fromkeys(orders[0], 0.0)
    for order in orders:
        for rank, place in enumerate(order, start=1):
            scores[place] += 1 / (_FUSED + rank)
    return sorted(orders[0], key=lambda place: -scores[place])
