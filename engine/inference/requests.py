"""What a model is asked, as work for the batcher: score options, write a text, know a beginning.

Token ids only. Guards: what is asked for is asked for at once, so that others' tokens fill the
pass; a text is never longer than was allowed, and what its guide forbids is never drawn.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from pockethive.inference.batcher import Ask, Begin, Fork, Read, Recall, Save
from pockethive.inference.blocks import BLOCK, blocks_for
from pockethive.inference.slices import Floats
from pockethive.inference.snapshots import SnapshotFiles

FORKED_AT_ONCE: Final = 64  # options that are read side by side
_SCORED_AT_ONCE: Final = 256  # positions; each costs a row of the vocabulary (200 kB)

Scores = tuple[float, ...]


class Guide(Protocol):
    """Says what may be drawn next (`guide.Guide`)."""

    def mask(self, logits: Floats) -> Floats:
        """The logits, with what must not come taken out."""

    def take(self, token: int) -> Sequence[int]:
        """A token was drawn; those that can only follow now."""

    @property
    def complete(self) -> bool:
        """Whether the text may end, and nothing can follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How to write. `show` is told every token as it comes; True from it ends the text."""

    draw: Callable[[Floats], int]
    stop_ids: frozenset[int]
    most: int
    show: Callable[[int], bool]
    guide: Guide | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """How many tokens were made, and why no more: `stop` or `length`."""

    tokens: int
    finish: str


def score(prompt: Sequence[int], options: Sequence[Sequence[int]]) -> Generator[Ask, Any, Scores]:
    """Summed log-probability (natural) of each option after `prompt`; neither may be empty."""
    if len(options) == 1:
        return (yield from _score_one(prompt, options[0]))
    groups = _groups(options)
    sequence = yield Begin(prompt, _blocks(prompt, max(groups, key=len, default=()), options))
    (logits,) = yield [Read(sequence, prompt[len(sequence) :])]
    first = log_softmax(logits)
    totals = [float(first[option[0]]) for option in options]
    for group in groups:
        forks = yield Fork(sequence, len(group))
        reads = [
            Read(fork, options[place][:-1], options[place][1:])
            for fork, place in zip(forks, group, strict=True)
        ]
        for place, made in zip(group, (yield reads), strict=True):
            totals[place] += float(made.sum(dtype=np.float64))
    return tuple(totals)


def _score_one(prompt: Sequence[int], option: Sequence[int]) -> Generator[Ask, Any, Scores]:
    """Prompt and option in one pass: a second one for a few tokens costs as much as thirty."""
    sequence = yield Begin(prompt, blocks_for(len(prompt) + len(option)))
    read = [*prompt[len(sequence) :], *option[:-1]]
    (made,) = yield [Read(sequence, read, option)]
    return (float(made.sum(dtype=np.float64)),)


def tails(
    prompt: Sequence[int], texts: Sequence[Sequence[int]], tail: Sequence[int]
) -> Generator[Ask, Any, Scores]:
    """Summed log-probability (natural) of `tail` after `prompt` and each text; none may be empty.

    The texts are read side by side, which costs a third of one after another.
    """
    options = [[*text, *tail] for text in texts]
    groups = _groups(options)
    sequence = yield Begin(prompt, _blocks(prompt, max(groups, key=len, default=()), options))
    yield [Read(sequence, prompt[len(sequence) :])]
    totals = [0.0] * len(options)
    for group in groups:
        forks = yield Fork(sequence, len(group))
        reads = [
            Read(fork, options[place][:-1], tail) for fork, place in zip(forks, group, strict=True)
        ]
        for place, made in zip(group, (yield reads), strict=True):
            totals[place] = float(made.sum(dtype=np.float64))
    return tuple(totals)


def write(prompt: Sequence[int], how: Writing) -> Generator[Ask, Any, Written]:
    """Write after `prompt`, token by token."""
    sequence = yield Begin(prompt, blocks_for(len(prompt) + how.most))
    (logits,) = yield [Read(sequence, prompt[len(sequence) :])]
    made, guide = 0, how.guide
    while True:
        token = how.draw(guide.mask(logits) if guide else logits)
        if token in how.stop_ids:
            return Written(made, "stop")
        new = [token, *(guide.take(token) if guide else ())][: how.most - made]
        made += len(new)
        if any(how.show(each) for each in new) or (guide and guide.complete):
            return Written(made, "stop")
        if made >= how.most:
            return Written(made, "length")
        (logits,) = yield [Read(sequence, new, word=True)]


def remember(beginning: Sequence[int], files: SnapshotFiles | None) -> Generator[Ask, Any, int]:
    """Read the beginning of prompts to come; returns how many tokens had to be read.

    With `files`, another process then reads nothing.
    """
    sequence = yield Begin(beginning, blocks_for(len(beginning)))
    rest = beginning[len(sequence) :]
    saved = files.load(beginning) if files and not len(sequence) else None
    if saved is not None:
        yield Recall(sequence, beginning, saved)
        return 0
    yield [Read(sequence, rest)]
    if files and len(rest) > 1:  # one is read anew although it is known
        files.save(beginning, (yield Save(sequence)))
    return len(rest) if len(rest) > 1 else 0


def log_softmax(logits: Floats) -> Floats:
    """Natural log-probabilities of logits [vocabulary]."""
    wide = logits.astype(np.float64)
    wide -= wide.max()
    return np.asarray(wide - np.log(np.exp(wide).sum()), np.float32)


def _groups(options: Sequence[Sequence[int]]) -> list[list[int]]:
    """Options of more than one token, by place, in groups that are read in one pass."""
    groups: list[list[int]] = []
    size = 0
    for place, option in enumerate(options):
        tokens = len(option) - 1
        if not tokens:
            continue
        size += tokens
        if not groups or size > _SCORED_AT_ONCE or len(groups[-1]) >= FORKED_AT_ONCE:
            groups.append([])
            size = tokens
        groups[-1].append(place)
    return groups


def _blocks(prompt: Sequence[int], group: Sequence[int], options: Sequence[Sequence[int]]) -> int:
    """What a prompt and the options beside it need; `group` is the largest."""
    longest = max(map(len, options))
    return blocks_for(len(prompt)) + len(group) * blocks_for(len(prompt) % BLOCK + longest)
