"""`summarize`: the model says in its own words what was found, or what a text says.

Rule guarded here: the model reads quotations that stood in their sources, whole and in the order of
the inputs, and is told what to do with them; nothing is promised of what it makes of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pockethive.actors.documents.passages import plain
from pockethive.actors.skill import Product, Tools, Work
from pockethive.actors.skills.writing import Asking, written
from pockethive.core.errors import SkillFailure
from pockethive.core.ports import Sampling

WORDS: Final = 60  # asked for, unless told otherwise
MOST_WORDS: Final = 400
TOKENS: Final = 2  # that a word may take, ends of sentences included
READ: Final = 4_000  # characters that the model reads at most
LEAST: Final = 40  # of them that a last, cut text must have to be worth reading

SYSTEM: Final = "You summarize texts. You use only what the texts say."


class Summarize:
    """Params: `question` or `about` (what it is for), `text` (what to read, before the inputs),
    `words` (60). Inputs: outputs of `search`, `rank` and `synthesize`, and texts that were written.
    """

    name = "summarize"
    needs_model = True

    def run(self, work: Work, tools: Tools) -> Product:
        """Have the model write it."""
        return written(self, work, tools)

    def asks(self, work: Work) -> Asking:
        """What the model is asked. Raises SkillFailure: there is nothing to read, or no number."""
        texts = tuple(_fitting(dict.fromkeys(_texts(work)), READ))
        if not texts:
            raise SkillFailure("there is nothing to summarize: no text was found", where=work.name)
        words = work.params.get("words", WORDS)
        if type(words) is not int or not 1 <= words <= MOST_WORDS:
            raise SkillFailure(
                f"words: {str(words)[:20]!r} is no number from 1 to {MOST_WORDS}", where=work.name
            )
        about = plain(str(work.params.get("question") or work.params.get("about") or ""))
        aim = f", as an answer to: {about}" if about else ""
        asked = f"Summarize these texts in at most {words} words{aim}"
        if work.remarks:
            asked += f"\nMind this: {' '.join(plain(remark) for remark in work.remarks)}"
        return Asking(
            system=SYSTEM,
            user="\n\n".join((*texts, asked)),
            sampling=Sampling(max_tokens=TOKENS * words),
        )


def _texts(work: Work) -> Iterator[str]:
    """What there is to read, in order; other outputs have nothing for a reader."""
    if isinstance(given := work.params.get("text"), str):
        yield plain(given)
    for name in sorted(work.inputs):
        yield from _of(work.inputs[name])


def _of(value: object) -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    for key in ("text", "answer"):
        if isinstance(value.get(key), str) and value.get("found", True):
            yield plain(value[key])
    for finding in (*_objects(value, "findings"), *_ranked(value)):
        if isinstance(finding.get("quote"), str):
            yield plain(finding["quote"])


def _ranked(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for item in _objects(value, "candidates"):
        if isinstance(item.get("finding"), Mapping):
            yield item["finding"]


def _objects(value: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    items = value.get(key)
    return [i for i in items if isinstance(i, Mapping)] if isinstance(items, list) else []


def _fitting(texts: Mapping[str, None], room: int) -> Iterator[str]:
    """Texts until `room` characters are full; the last one is cut at a word."""
    for text in texts:
        if len(text) > room:
            cut = text[:room].rpartition(" ")[0]
            if len(cut) >= LEAST:
                yield cut
            return
        if text:
            yield text
            room -= len(text)
