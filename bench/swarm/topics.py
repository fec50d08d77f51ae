"""Questions about real texts, through the whole team `research`: what is said, cited and refused.

    make bench NAME=swarm.topics [FULL=1] [SEED=N]

The set is `trials/topics.json`, the texts are the interpreter's reference topics and the licence
texts of this machine. A quick run asks 12 of the fresh ones of one device; a full one asks all held
and fresh ones, of one device with all documents and of three device processes that have a third
each and keep it to themselves. Nothing was ever set on these.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.swarm.page import share, table
from bench.swarm.record import Record, Watch, keep, parser
from pockethive.actors.documents.corpus import write_corpus
from pockethive.swarm import Swarm
from pockethive.topic_asking import Reply, figures, replies, to_ask
from pockethive.trials.topics import SPLITS, TopicQuestion, of_split, topic_questions

NAME: Final = "topics"
QUICK: Final = 12
SHARDS: Final = 3
WARM: Final = 8
"""Questions asked before, uncounted: devices read their documents for meaning as they are asked."""


def main() -> int:
    """Measure, keep and print."""
    options = _options()
    watch, chosen = Watch(), drawn(options.seed, full=options.full)
    settings = [
        asked(devices, chosen, options.home) for devices in ((1, SHARDS) if options.full else (1,))
    ]
    keep(NAME, options, {"settings": settings}, watch)
    return 0


def drawn(seed: int, *, full: bool) -> tuple[TopicQuestion, ...]:
    """All that nothing was set on, or `QUICK` fresh ones with all that nothing answers."""
    every = topic_questions()
    if full:
        return tuple(each for each in every if each.split != "dev")
    fresh = of_split(every, "fresh")
    unknown = [each for each in fresh if not each.known]
    few = Random(seed).sample([each for each in fresh if each.known], QUICK - len(unknown))
    return tuple(sorted((*few, *unknown), key=lambda each: each.id))


def asked(devices: int, questions: Sequence[TopicQuestion], home: Path) -> dict[str, Any]:
    """The questions asked of so many devices, each with its share of the documents."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = write_corpus(Path(scratch), devices, licences=True)
        askable, left = to_ask(questions, folders)
        given = []
        with Swarm.from_yaml("research", documents=folders, devices=devices, home=home) as swarm:
            for question in of_split(topic_questions(), "dev")[:WARM]:
                swarm.run_sync(question.question)
            for reply in replies(swarm, askable):
                given.append(reply)
                print(f"{devices} {reply.mark.failure or 'right'}: {reply.question}", flush=True)
        documents = [len(list(folder.iterdir())) for folder in folders]
    return {
        "devices": devices,
        "documents": documents,
        "splits": by_split(given),
        "left_out": [{"id": each.id, "why": each.why} for each in left],
        "rows": [reply.row() for reply in given],
    }


def by_split(given: Sequence[Reply]) -> dict[str, Any]:
    """The figures of each split that was asked."""
    found = {split: [each for each in given if each.split == split] for split in SPLITS}
    return {split: figures(part) for split, part in found.items() if part}


def section(record: Record) -> str:
    """This benchmark's part of the page."""
    head = [
        "devices (documents each)",
        "questions",
        "right, with every source",
        "said",
        "citations of right documents",
        "parts cited",
        "not known, and said so",
        "fell short",
        "median, s",
    ]
    rows = [
        _line(setting, split, told)
        for setting in record.results["settings"]
        for split, told in setting["splits"].items()
    ]
    out = [each["id"] for each in record.results["settings"][0]["left_out"]]
    left = f" Left out, for want of their texts: {', '.join(out)}." if out else ""
    return (
        "## Real questions over private documents\n\n"
        "Language reference and licence texts. *Right* is an answer that says each thing asked as "
        "the text has it, and cites a document for it. Nothing was set on *held* and *fresh* ones; "
        "the latter were written last, by somebody who had not seen it answer (proof.md)."
        f"{left} An answer cites up to four passages for one question, so where one document is "
        "asked for, others count against it.\n\n"
        f"{table(head, rows)}"
    )


def _line(setting: dict[str, Any], split: str, told: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{what} {number}" for what, number in sorted(told["failures"].items()))
    documents = " + ".join(map(str, setting["documents"]))
    shares = ("right", "said", "precision", "recall", "not_known")
    found = [share(**told[name]) for name in shares]
    return [
        f"{setting['devices']} ({documents})",
        split,
        *found,
        counts or "none",
        f"{told['seconds_median']:.1f}",
    ]


def _options() -> argparse.Namespace:
    return parser("bench.swarm.topics").parse_args()


if __name__ == "__main__":
    sys.exit(main())
