"""Which passages mean what a question means, also in other words; used where a model for it is.

Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009) joins this order with another one: only
places count, since scores of two kinds do not compare. Rule guarded here: nearness proposes what is
read, and says when nothing is worth it; texts are read once and their rows kept, within bounds.
"""

import logging
import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import mul
from pathlib import Path

from pockethive.actors.documents.points import Points
from pockethive.core.errors import ModelError, StorageError
from pockethive.core.ports import Embeds

_log = logging.getLogger(__name__)

MOST_COMPARED = 20_000  # texts with a question: a second of processor time
READ_AT_ONCE = 256  # new texts for one question: four seconds of processor time
_REMEMBERED = 4096  # texts; a row of 384 figures takes 1.5 KB
_FUSED = 10  # how little the first places stand out; set on the development questions

Row = Sequence[float]


class Nearness:
    """Rows of texts, made when first needed. `load`: brings the model; None or raises: without it.

    `kept`: the file where rows outlive the process, opened with the model. Any thread.
    """

    def __init__(self, load: Callable[[], Embeds | None], kept: Path | None = None) -> None:
        self._load, self._file, self._busy = load, kept, threading.Lock()
        self._loaded = False
        self._embedder: Embeds | None = None
        self._points: Points | None = None
        self._rows: OrderedDict[str, Row] = OrderedDict()

    def close(self) -> None:
        """Close the file, if one is open. Rows are still made, and kept no more."""
        points, self._points = self._points, None
        if points is not None:
            points.close()

    def order(self, question: str, texts: Sequence[str]) -> list[int] | None:
        """The places of the texts, the nearest to the question first; None without a model."""
        near = self.cosines(question, texts)
        return None if near is None else by_nearness(near)

    def cosines(self, question: str, texts: Sequence[str]) -> list[float] | None:
        """How near each text is to the question: cosines, -1 to 1; None without a model."""
        with self._busy:
            if (embedder := self._ready()) is None:
                return None
            asked = self._asked(embedder, question)
            rows = self._rows_of(embedder, dict.fromkeys(texts), None)
        return [_cosine(asked, rows[text]) for text in texts]

    def nearest(self, question: str, texts: Mapping[int, str], most: int) -> tuple[int, ...]:
        """The keys of the texts nearest to the question, `most` at most; none without a model.

        `texts`: `MOST_COMPARED` at most are wise. Of those that were never read, `READ_AT_ONCE`
        are, so with many the first questions find less.
        """
        with self._busy:
            if (embedder := self._ready()) is None:
                return ()
            asked = self._asked(embedder, question)
            rows = self._rows_of(embedder, dict.fromkeys(texts.values()), READ_AT_ONCE)
        near = {key: _cosine(asked, rows[text]) for key, text in texts.items() if text in rows}
        return tuple(sorted(near, key=lambda key: (-near[key], key))[:most])

    def _asked(self, embedder: Embeds, question: str) -> Row:
        """A question's row, which is not kept on disk."""
        if question not in self._rows:
            self._remember({question: array("f", embedder.embed((question,))[0])})
        return self._rows[question]

    def _rows_of(self, embedder: Embeds, texts: Iterable[str], most: int | None) -> dict[str, Row]:
        """Rows by text, what was never read included, `most` of it."""
        wanted = list(texts)
        rows = {text: self._rows[text] for text in wanted if text in self._rows}
        rows |= self._kept(embedder, [text for text in wanted if text not in rows])
        new = [text for text in wanted if text not in rows][:most]
        read = embedder.embed(new) if new else ()
        made = {text: array("f", row) for text, row in zip(new, read, strict=True)}
        self._keep(made)
        rows |= made
        self._remember(rows)
        return rows

    def _kept(self, embedder: Embeds, texts: Sequence[str]) -> dict[str, Row]:
        if self._points is None or not texts:
            return {}
        try:
            found = self._points.of(texts)
        except sqlite3.Error as error:
            self._give_up(error)
            return {}
        return {text: row for text, row in found.items() if len(row) == embedder.width}

    def _keep(self, rows: Mapping[str, Row]) -> None:
        if self._points is None or not rows:
            return
        try:
            self._points.keep(rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Without its file it goes on: what a text means can be found again."""
        _log.warning("what passages mean is not kept: %s", error)
        self.close()

    def _ready(self) -> Embeds | None:
        if not self._loaded:
            self._loaded = True
            try:
                self._embedder = self._load()
                if self._embedder is not None and self._file is not None:
                    self._points = Points(self._file, self._embedder.id)
            except ModelError as error:
                _log.warning("searching by words alone: %s", error)
            except (OSError, StorageError) as error:
                self._give_up(error)
        return self._embedder

    def _remember(self, rows: Mapping[str, Row]) -> None:
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


def _cosine(one: Row, two: Row) -> float:
    """Of rows of length one."""
    return float(sum(map(mul, one, two)))
