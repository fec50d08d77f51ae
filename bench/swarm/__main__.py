"""The main job through the real swarm: device processes, DHT, leases, verification, real model.

    python -m bench.swarm [--questions FILE] [--devices N] [--limit N] [--out FILE]

`tests/data/language_reference.json` is the set that is reported. Of `…_fresh.json` nothing was
known when the search was built: after its first run only labels that were too narrow were widened.

Prints one line per question and the figures that count; `--out` keeps every raw value as JSON.
Sources are judged by file name, key phrases by what the answer says (white space, case and marks
apart), quotations by searching them in the source they name (white space apart).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.machine import machine
from bench.texts import level
from pockethive.actors.documents.corpus import write_corpus
from pockethive.configs.home import default_home
from pockethive.result import Result
from pockethive.swarm import Swarm

QUESTIONS = Path(__file__).parents[2] / "tests" / "data" / "language_reference.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question's outcome."""

    question: str
    status: str
    found: bool
    source: str
    right_source: bool
    key_phrase: bool
    quotations: int
    quotations_in_source: int
    tasks: int
    verified_by_another: int
    plan_seconds: float
    seconds: float
    answer: str


def unspaced(text: str) -> str:
    """Text without differences of white space."""
    return " ".join(text.split())


def judge(result: Result, item: dict[str, Any], texts: dict[str, str]) -> Asked:
    """Hold a result against what was expected."""
    cited = result.citations
    committed = [task for task in result.tasks if task.status == "committed"]
    return Asked(
        question=item["question"],
        status=result.status,
        found=result.found,
        source=cited[0].source if cited else "",
        right_source=bool(cited) and cited[0].source in item["sources"],
        key_phrase=any(level(phrase) in level(result.answer) for phrase in item["phrases"]),
        quotations=len(cited),
        quotations_in_source=sum(
            unspaced(citation.quote) in unspaced(texts.get(citation.source, ""))
            for citation in cited
        ),
        tasks=len(committed),
        verified_by_another=sum(
            any(v.verdict == "accept" and v.device != task.device for v in task.verdicts)
            and all(v.device != task.device for v in task.verdicts)
            for task in committed
        ),
        plan_seconds=round(result.plan_seconds, 3),
        seconds=round(result.seconds, 3),
        answer=result.answer,
    )


def ask_all(swarm: Swarm, items: Sequence[dict[str, Any]], texts: dict[str, str]) -> list[Asked]:
    """Ask every question, one after another."""
    asked = []
    for number, item in enumerate(items, 1):
        seen = judge(swarm.run_sync(item["question"]), item, texts)
        asked.append(seen)
        marks = "".join(
            mark if good else "-"
            for mark, good in (("s", seen.right_source), ("k", seen.key_phrase), ("f", seen.found))
        )
        print(f"{number:3d} {marks} {seen.seconds:5.1f} s {seen.source:22.22s} {seen.question}")
        sys.stdout.flush()
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 when a target of the main job is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    questions = json.loads(options.questions.read_text())
    answerable = questions["answerable"][: options.limit]
    unanswerable = [
        {"question": text, "sources": [], "phrases": []}
        for text in questions["unanswerable"][: options.limit]
    ]
    home = default_home()
    folders = write_corpus(home / "demo", options.devices)
    texts = {path.name: path.read_text() for folder in folders for path in folder.glob("*.txt")}
    began = time.perf_counter()
    with Swarm.from_yaml(
        "research", documents=folders, devices=options.devices, home=home
    ) as swarm:
        started = time.perf_counter() - began
        good = ask_all(swarm, answerable, texts)
        none = ask_all(swarm, unanswerable, texts)
    figures = summarize(good, none)
    print(json.dumps({"started_seconds": round(started, 2), **figures}, indent=1))
    if options.out is not None:
        raw = {
            "machine": machine("pykka", "kademlia", "openvino"),
            "questions": options.questions.name,
            **figures,
            "raw": [asdict(one) for one in (*good, *none)],
        }
        options.out.write_text(json.dumps(raw, indent=1))
    return 0 if reached(figures) else 1


def summarize(good: Sequence[Asked], none: Sequence[Asked]) -> dict[str, Any]:
    """The figures that count."""
    every = [*good, *none]
    return {
        "answerable": len(good),
        "right_source_first": sum(one.right_source for one in good),
        "key_phrase": sum(one.key_phrase for one in good),
        "unanswerable": len(none),
        "said_not_found": sum(not one.found for one in none),
        "quotations": sum(one.quotations for one in every),
        "quotations_in_source": sum(one.quotations_in_source for one in every),
        "outputs_committed": sum(one.tasks for one in every),
        "outputs_verified_by_another_device": sum(one.verified_by_another for one in every),
        "completed": sum(one.status == "completed" for one in every),
        "seconds_median": round(statistics.median(one.seconds for one in every), 2),
        "plan_seconds_median": round(statistics.median(one.plan_seconds for one in every), 2),
    }


def reached(figures: dict[str, Any]) -> bool:
    """Whether every target of the main job is met."""
    return bool(
        figures["right_source_first"] >= 0.8 * figures["answerable"]
        and figures["key_phrase"] >= 0.6 * figures["answerable"]
        and figures["said_not_found"] == figures["unanswerable"]
        and figures["quotations_in_source"] == figures["quotations"]
        and figures["outputs_verified_by_another_device"] == figures["outputs_committed"]
    )


if __name__ == "__main__":
    raise SystemExit(main())
