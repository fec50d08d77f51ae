"""Runs of sentences: what is quoted of a passage, and what the model reads of a quotation.

Rule guarded here: the researcher and whoever reads after them see the same part of a quotation,
because it follows from the quotation and the question alone.
"""

from collections.abc import Sequence

from pockethive.actors.documents.attestation import MAX_QUOTE
from pockethive.actors.documents.passages import plain
from pockethive.actors.documents.query import analyse, query_stems, stems
from pockethive.inference.spans import sentences

CORE = 300  # characters that the model reads of a quotation, about seventy tokens
_PROMISED = 150  # more, for what a colon at the end promises


def core(quote: str, question: str) -> str:
    """The part of a quotation that the model reads, in one line."""
    start, end = window(quote, query_stems(analyse(question)), CORE)
    return plain(quote[start:end])


def window(text: str, wanted: Sequence[str], room: int) -> tuple[int, int]:
    """The run of sentences with most of what is wanted, and what surrounds it, as offsets.

    It begins as the sentence that shares most stems with `wanted` and grows, forwards first, to at
    most `room` characters, white space counted once.
    """
    spans = sentences(text) or ((0, len(text)),)
    shared = [len(stems(text[a:b]).intersection(wanted)) for a, b in spans]
    first = last = max(range(len(spans)), key=lambda i: (shared[i], -i))
    while True:
        promises = text[: spans[last][1]].endswith(":")  # an example or a list comes next
        more = room + _PROMISED if promises else room
        ahead = last + 1 < len(spans) and _fits(text, (spans[first][0], spans[last + 1][1]), more)
        behind = first > 0 and _fits(text, (spans[first - 1][0], spans[last][1]), room)
        if behind and not promises and (not ahead or shared[first - 1] > shared[last + 1]):
            first -= 1
        elif ahead:
            last += 1
        else:
            break
    start = spans[first][0]
    return start, _cut(text, start, spans[last][1], room + _PROMISED)


def _cut(text: str, start: int, end: int, room: int) -> int:
    """An end, between words, that keeps a sentence or a piece of code without end in bounds."""
    end = min(end, start + MAX_QUOTE)
    while not _fits(text, (start, end), room):
        space = max(text.rfind(" ", start, end - 1), text.rfind("\n", start, end - 1))
        end = space if space > start else start + room
    return end


def _fits(text: str, span: tuple[int, int], room: int) -> bool:
    return len(plain(text[slice(*span)])) <= room
