"""Splitting a text into passages: the units that are searched, attested and quoted.

Rule guarded here: a passage is a slice of its document, character for character, so that whoever
has the file finds every quotation in it. Its title and heading say where it stood.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from pockethive.inference.spans import sentences

LARGEST = 900  # characters: about 220 tokens, several passages fit one small model's prompt
SMALL = 120  # a shorter paragraph goes with the one before it
MAX_HEADING = 120
MAX_PASSAGES = 20_000  # per document; 4 MiB of one-line paragraphs stay below it when merged

_MARKDOWN = re.compile(r"#{1,6}\s+(?P<name>\S.*?)\s*#*\s*$")
_RULE = re.compile(r"([=\-~^\"'*+#`])\1{2,}\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_TABLE_EDGE = re.compile(r"\s*\+[-=+]+\+\s*$")
_SENTENCE_END = (".", ":", ";", "?", "!", ",", "”")
_ART = re.compile(
    r"(?m)^[ \t]*\+[-=+]+\+[ \t]*$|(?:^|(?<=\s))\|+(?:(?=\s)|$)|^[ \t]*\|[=\-|]+\|[ \t]*$"
)
_LINE = re.compile(r"(?m)^[ \t]*([=\-~*_#])\1{3,}[ \t]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A slice of a document. `index` counts from 0; `title` is the document's first heading."""

    index: int
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive lines: `text[start:end]`, indented by `indent`; `heading` if they are one."""

    start: int
    end: int
    indent: int
    heading: str = ""


def split(text: str, name: str) -> tuple[Passage, ...]:
    """The passages of a document; `name` is its title when it has no heading."""
    blocks, found = tuple(_blocks(text)), list[Passage]()
    title = blocks[0].heading if blocks else ""  # even where the next heading follows at once
    for start, end, above in _merged(text, blocks):
        if above and not title and not found:
            title = above
        for low, high in _pieces(text, start, end):
            found.append(
                Passage(index=len(found), title=title or name, heading=above, text=text[low:high])
            )
            if len(found) == MAX_PASSAGES:
                return tuple(found)
    return tuple(found)


def plain(text: str) -> str:
    """A slice as one line to read: white space once, without the lines and bars of text tables."""
    if "|" in text:
        text = _ART.sub(" ", text)
    text = _LINE.sub(" ", text)
    return " ".join(text.split())


def _merged(text: str, blocks: tuple[_Block, ...]) -> Iterator[tuple[int, int, str]]:
    """Slices with their heading: small blocks, and what follows a colon, go with what precedes.

    A short line above a deeper block (a definition's term) opens a slice and heads what is below.
    """
    section, term, term_indent = "", "", -1
    start, end = -1, -1
    for block, below in zip_longest(blocks, blocks[1:]):
        opens = block.heading or _is_term(text, block, below) or block.indent <= term_indent
        joins = not opens and start >= 0 and _joins(text, (start, end), block)
        if joins:
            end = block.end
            continue
        if start >= 0:
            yield start, end, term or section
        start, end = (-1, -1) if block.heading else (block.start, block.end)
        if block.heading:
            section, term, term_indent = block.heading, "", -1
        elif _is_term(text, block, below):
            term, term_indent = plain(text[block.start : block.end])[:MAX_HEADING], block.indent
        elif block.indent <= term_indent:
            term, term_indent = "", -1
    if start >= 0:
        yield start, end, term or section


def _is_term(text: str, block: _Block, below: _Block | None) -> bool:
    content = text[block.start : block.end].rstrip()
    return (
        below is not None
        and not below.heading
        and below.indent >= block.indent + 2
        and len(content) <= MAX_HEADING
        and not content.endswith(_SENTENCE_END)
        and "::=" not in content
    )


def _joins(text: str, before: tuple[int, int], block: _Block) -> bool:
    if block.end - before[0] > LARGEST:
        return False
    earlier = text[before[0] : before[1]].rstrip()
    size = block.end - block.start
    short_term = len(earlier) <= MAX_HEADING and not earlier.endswith(_SENTENCE_END)
    return earlier.endswith(":") or short_term or size < SMALL or len(earlier) < SMALL


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A slice cut at rows of a table and, where still too long, at sentences."""
    for low, high in _rows(text, start, end):
        if high - low <= LARGEST:
            yield low, high
            continue
        first = low
        ends = [low + stop for _, stop in sentences(text[low:high])]
        for here, after in pairwise([*ends, high]):
            if after - first > LARGEST and here > first:
                yield from _hard_cut(first, here)
                first = here
        if text[first:high].strip():
            yield from _hard_cut(first, high)


def _hard_cut(start: int, end: int) -> Iterator[tuple[int, int]]:
    for low in range(start, end, 2 * LARGEST):  # only text without any sentence gets this far
        yield low, min(end, low + 2 * LARGEST)


def _rows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    low = at = start
    for line in text[start:end].splitlines(keepends=True):
        at += len(line)
        if _TABLE_EDGE.match(line) and text[low:at].strip():
            if at - len(line) > low and re.search(r"\w", text[low : at - len(line)]):
                yield low, at - len(line)
            low = at
    if re.search(r"\w", text[low:end]):
        yield low, end


def _blocks(text: str) -> Iterator[_Block]:
    lines: list[tuple[int, str]] = []
    at, fenced = 0, False
    for line in text.splitlines(keepends=True):
        if _FENCE.match(line):
            fenced = not fenced
        markdown = None if fenced else _MARKDOWN.match(line)
        if markdown or not (line.strip() or fenced):
            yield from _block(lines)
            lines = []
            if markdown:
                name = markdown["name"][:MAX_HEADING]
                yield _Block(at, at + len(line), 0, name)
        elif _RULE.match(line) and _names_a_heading(lines, line):
            yield _Block(lines[0][0], at + len(line), 0, lines[-1][1].strip()[:MAX_HEADING])
            lines = []
        else:
            lines.append((at, line))
        at += len(line)
    yield from _block(lines)


def _block(lines: list[tuple[int, str]]) -> Iterator[_Block]:
    if any(re.search(r"\w", line) for _, line in lines):
        start, first = lines[0]
        last_start, last = lines[-1]
        indent = len(first) - len(first.lstrip())
        yield _Block(start + indent, last_start + len(last.rstrip()), indent)


def _names_a_heading(lines: list[tuple[int, str]], rule: str) -> bool:
    """One line of words above the rule, perhaps with the same rule above it."""
    if not lines or len(lines) > 2 or (len(lines) == 2 and not _RULE.match(lines[0][1])):
        return False
    name = lines[-1][1].strip()
    return 0 < len(name) <= len(rule.strip()) + 4 and re.search(r"\w", name) is not None
