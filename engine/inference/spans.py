"""Sentences of a passage, as places in it.

Rule guarded here: a span is a pair of offsets, never a rewritten text, so that a quotation is
always `passage[start:end]`.
"""

import re

Offsets = tuple[int, int]

# A sentence ends at . ! or ? (with closing quotes or brackets) before white space, or at a colon,
# a blank line or an indented block: reference texts put code and lists there.
_ENDS = re.compile(r"[.!?][\"'”’)\]*]*(?=\s)|:(?=\s*\n\s*\n)|(?=\n\s*\n)|(?=\n\s*[*•-]\s)")
_ABBREVIATIONS = frozenset({"e.g", "i.e", "etc", "cf", "vs", "no", "dr", "mr", "mrs", "ms", "st"})
_LAST_WORD = re.compile(r"([\w.]+)\.$")
_MARKER = re.compile(r"\s*(?:\d{1,3}\.|[*•-])\s")


def sentences(passage: str) -> tuple[Offsets, ...]:
    """Offsets of the sentences of `passage`, in order, without list markers and white space."""
    found: list[Offsets] = []
    start = 0
    for match in _ENDS.finditer(passage):
        marker = _MARKER.match(passage, start)
        if marker and marker.end() > match.end():
            continue
        if match.end() > match.start() and _is_abbreviation(passage[start : match.end()]):
            continue
        _add(found, passage, (start, match.end()))
        start = match.end()
    _add(found, passage, (start, len(passage)))
    return tuple(found)


def _add(found: list[Offsets], passage: str, span: Offsets) -> None:
    marker = _MARKER.match(passage, *span)
    trimmed = trim(passage, (marker.end(), span[1]) if marker else span)
    if trimmed[0] < trimmed[1]:
        found.append(trimmed)


def trim(passage: str, span: Offsets) -> Offsets:
    """The same span without white space at its ends; empty when nothing else was in it."""
    start, end = span
    while start < end and passage[start].isspace():
        start += 1
    while end > start and passage[end - 1].isspace():
        end -= 1
    return start, end


def _is_abbreviation(text: str) -> bool:
    word = _LAST_WORD.search(text)
    if word is None:
        return False
    stem = word.group(1).lower()
    return stem in _ABBREVIATIONS or (len(stem) == 1 and stem.isalpha())
