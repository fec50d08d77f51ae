"""How good are the answers about documents, and how good are their verifiers?

Runs the whole chain of the research team in one process, without a network: three devices with an
index and a key each, search, check, rank, check, answer. Beside it runs BM25 alone. Prints a table
and, with --json, the figures. Questions: tests/data/language_reference.json, none of which was
used to set a constant (those were set on language_reference_dev.json).

    python bench/research.py --home ~/.local/share/pockethive
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bench.machine import machine
from bench.texts import level
from pockethive.actors.documents.attestation import quotation
from pockethive.actors.documents.corpus import write_corpus
from pockethive.actors.documents.index import DocumentIndex, Hit, Signer
from pockethive.actors.documents.nearness import Nearness
from pockethive.actors.documents.passages import plain
from pockethive.actors.documents.query import analyse, query_stems
from pockethive.actors.skill import Tools, Work
from pockethive.actors.skills import CHECKERS, SKILLS
from pockethive.actors.skills.research import best_window
from pockethive.configs.home import default_home
from pockethive.core.canonical import to_text
from pockethive.core.ports import Model
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.embedding import find_embedder

QUESTIONS = Path(__file__).parent.parent / "tests" / "data" / "language_reference.json"
PLANTED = 20  # wrong quotations of each kind

Answer = dict[str, Any]
Pool = tuple[dict[str, Any], int, Hit]  # question, number of the device, passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Three devices, one model, the folders of their documents."""

    tools: tuple[Tools, ...]
    texts: dict[str, str]
    rng: random.Random


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one way of answering reached."""

    answerable: int = 0
    right_source: int = 0
    key_phrase: int = 0
    unanswerable: int = 0
    not_found: int = 0
    quotations: int = 0
    quotations_in_source: int = 0
    outputs: int = 0
    outputs_rejected: int = 0
    seconds: list[float] = field(default_factory=list)


class Remembering:
    """A model that reads nothing twice: here all devices share it, in a swarm each has its own.

    The figures are the same as without; the seconds count first readings only.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._scores: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """As `Model.score`."""
        key = (prompt, tuple(options))
        if key not in self._scores:
            self._scores[key] = self._model.score(prompt, options)
        return self._scores[key]


def device(number: int, folder: Path, model: Model, nearness: Nearness | None = None) -> Tools:
    """The tools of device `number` with the documents in `folder`."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    name = to_text(key.public_key().public_bytes_raw())
    index = DocumentIndex.build([folder], ":memory:", Signer(device=name, sign=key.sign))
    return Tools(model=model, documents=index, sign=key.sign, verify=verify, nearness=nearness)


def seated(folder: Path, model: Any, seed: int = 0, nearness: Nearness | None = None) -> Bench:
    """Three devices on one model, the documents in three folders below `folder`."""
    folders = write_corpus(folder)
    return Bench(
        tools=tuple(device(n, place, model, nearness) for n, place in enumerate(folders, start=1)),
        texts={p.name: p.read_text(encoding="utf-8") for f in folders for p in f.iterdir()},
        rng=random.Random(seed),
    )


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def index_of(tools: Tools) -> DocumentIndex:
    """The device's index."""
    assert tools.documents is not None
    return tools.documents


def work(skill: str, question: str, device: str, inputs: dict[str, Any]) -> Work:
    """A task as the planner makes it."""
    params = {"question": question, "limit": 4, "keep": 3, "near": True}  # where it is asked for
    return Work(task=skill, name=skill, skill=skill, params=params, inputs=inputs, device=device)


def answer_by_chain(bench: Bench, question: str, tally: Tally) -> Answer:
    """Search on every device, check on the next one, rank, check, answer, check."""
    ranked = ranked_by(bench, question, found_by(bench, question, tally), tally)
    first, second, *_ = bench.tools
    task = work("synthesize", question, index_of(first).device, {"rank": ranked})
    answer: Answer = SKILLS["synthesize"].run(task, first).value
    _accepted(("citations",), task, answer, second, tally)
    return answer


def found_by(bench: Bench, question: str, tally: Tally) -> dict[str, Any]:
    """What the searches found that were accepted."""
    found: dict[str, Any] = {}
    for number, tools in enumerate(bench.tools):
        task = work("search", question, index_of(tools).device, {})
        value = SKILLS["search"].run(task, tools).value
        verifier = bench.tools[(number + 1) % len(bench.tools)]
        if _accepted(("quotation", "fit"), task, value, verifier, tally):
            found[f"search-{number}"] = value
    return found


def ranked_by(bench: Bench, question: str, found: dict[str, Any], tally: Tally) -> dict[str, Any]:
    """The findings in one order."""
    first, second, *_ = bench.tools
    task = work("rank", question, index_of(first).device, found)
    ranked: dict[str, Any] = SKILLS["rank"].run(task, first).value
    _accepted(("ranking",), task, ranked, second, tally)
    return ranked


def _accepted(
    checkers: Sequence[str], task: Work, value: Any, verifier: Tools, tally: Tally
) -> bool:
    accepted = all(CHECKERS[name].check(task, value, verifier).accept for name in checkers)
    tally.outputs += 1
    tally.outputs_rejected += not accepted
    return accepted


def answer_by_bm25(bench: Bench, question: str, _: Tally) -> Answer:
    """The three best passages by BM25 of all devices; nothing else."""
    hits = [hit for tools in bench.tools for hit in index_of(tools).search(question, 3)]
    hits.sort(key=lambda hit: -hit.bm25)
    wanted = query_stems(analyse(question))
    cited = [
        {"source": hit.source, "quote": best_window(hit, wanted).quote, "number": number}
        for number, hit in enumerate(hits[:3], start=1)
    ]
    text = "\n".join(plain(str(item["quote"])) for item in cited)
    return {"answer": text, "found": bool(cited), "citations": cited}


def measure(
    bench: Bench, questions: dict[str, Any], ask: Callable[[Bench, str, Tally], Answer], show: bool
) -> Tally:
    """Ask every question and count."""
    tally = Tally()
    for item in questions["answerable"]:
        began = time.perf_counter()
        answer = ask(bench, item["question"], tally)
        tally.seconds.append(round(time.perf_counter() - began, 2))
        first = answer["citations"][0]["source"] if answer["citations"] else "nothing"
        right = first in item["sources"]
        phrase = any(level(phrase) in level(answer["answer"]) for phrase in item["phrases"])
        tally.answerable += 1
        tally.right_source += right
        tally.key_phrase += phrase
        _count_quotations(bench, answer, tally)
        if show:
            told = f"{'+' if right else '-'}{'+' if phrase else '-'} {item['question']}"
            print(f"{told}  [{first}, {tally.seconds[-1]} s]", flush=True)
    for question in questions["unanswerable"]:
        answer = ask(bench, question, tally)
        tally.unanswerable += 1
        tally.not_found += not answer["found"]
        _count_quotations(bench, answer, tally)
        if show:
            print(f"{'-' if answer['found'] else '+'}  {question}", flush=True)
    return tally


def _count_quotations(bench: Bench, answer: Answer, tally: Tally) -> None:
    for citation in answer["citations"]:
        tally.quotations += 1
        tally.quotations_in_source += citation["quote"] in bench.texts[citation["source"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A quotation whose worth is known. `owner` is the number of the device that quotes it."""

    kind: str
    question: str
    owner: int
    finding: dict[str, Any]


def plant(bench: Bench, questions: dict[str, Any]) -> list[Planted]:
    """Right quotations, and wrong ones of three kinds, each with the proof an attacker can make.

    `random` and `wrong sentence` stand in a source, so their proofs are genuine; `near miss` is a
    right quotation with one word replaced, under the proof of the passage it was taken from.
    """
    right: list[Pool] = []
    wrong: list[Pool] = []
    for item in questions["answerable"]:
        for owner, tools in enumerate(bench.tools):
            for passage in passages_of(index_of(tools), item["sources"]):
                (right if _holds(passage, item) else wrong).append((item, owner, passage))
    planted = []
    for kind, pool, other in (
        ("right", right, False),
        ("near miss", right, False),
        ("wrong sentence", wrong, False),
        ("random", wrong, True),
    ):
        for item, owner, hit in _spread(bench.rng, pool):
            asked = bench.rng.choice([q for q in questions["answerable"] if q is not item])
            question = asked["question"] if other else item["question"]
            finding = _finding(index_of(bench.tools[owner]), hit, question, item)
            if kind == "near miss":
                finding["quote"] = _near_miss(bench.rng, finding["quote"])
            planted.append(Planted(kind=kind, question=question, owner=owner, finding=finding))
    return planted


def _spread(rng: random.Random, pool: Sequence[Pool]) -> list[Pool]:
    """PLANTED entries where there are so many, from as many questions as there are."""
    shuffled = rng.sample(list(pool), len(pool))
    first = {entry[0]["question"]: entry for entry in shuffled}
    more = [entry for entry in shuffled if first[entry[0]["question"]] is not entry]
    return [*first.values(), *more][:PLANTED]


def passages_of(index: DocumentIndex, sources: Sequence[str]) -> list[Hit]:
    """Every passage of prose of the named documents."""
    found = {hit.key: hit for name in sources for hit in index.search(Path(name).stem, 400)}
    return [
        hit
        for hit in found.values()
        if hit.source in sources and re.search(r"\w[.?!]$", hit.passage.text.strip())
    ]


def _holds(hit: Hit, item: dict[str, Any]) -> bool:
    return any(level(phrase) in level(hit.passage.text) for phrase in item["phrases"])


def _finding(index: DocumentIndex, hit: Hit, question: str, item: dict[str, Any]) -> dict[str, Any]:
    wanted = query_stems(analyse(" ".join([question, *item["phrases"]])))
    window = best_window(hit, wanted)
    proven = quotation(hit.source, index.device, hit.passage, index.prove(hit))
    return {**proven, "quote": window.quote, "score": 1, "start": window.start}


def _near_miss(rng: random.Random, quote: str) -> str:
    words = list(re.finditer(r"[a-z]{4,}", quote))
    chosen = rng.choice(words)
    return quote[: chosen.start()] + "never" + quote[chosen.end() :]


def judge(bench: Bench, planted: Sequence[Planted]) -> dict[str, dict[str, int]]:
    """How many planted quotations of each kind the verifiers accept."""
    table: dict[str, dict[str, int]] = {}
    for item in planted:
        owner = index_of(bench.tools[item.owner]).device
        verifier = bench.tools[(item.owner + 1) % len(bench.tools)]
        value = {"findings": [item.finding], "searched": {"documents": 1, "passages": 1}}
        task = replace(work("search", item.question, owner, {}), device=owner)
        row = table.setdefault(item.kind, {"planted": 0, "accepted": 0})
        row["planted"] += 1
        row["accepted"] += all(
            CHECKERS[name].check(task, value, verifier).accept for name in ("quotation", "fit")
        )
    return table


def show(name: str, tally: Tally) -> None:
    """One line of the table."""
    middle = sorted(tally.seconds)[len(tally.seconds) // 2] if tally.seconds else 0
    print(
        f"{name:10} right source first {tally.right_source}/{tally.answerable}"
        f" | key phrase {tally.key_phrase}/{tally.answerable}"
        f" | not found {tally.not_found}/{tally.unanswerable}"
        f" | quotations in source {tally.quotations_in_source}/{tally.quotations}"
        f" | outputs rejected {tally.outputs_rejected}/{tally.outputs} | median {middle:.2f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return 0 when the figures this project promises were reached."""
    parser = argparse.ArgumentParser(description="Measure answers about documents.")
    parser.add_argument("--home", type=Path, default=default_home(), help="has the model")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--near", action="store_true", help="with the home's embedding model")
    options = parser.parse_args(arguments)
    questions = json.loads(options.questions.read_text(encoding="utf-8"))
    model: Any = Remembering(open_model(options.model, options.home, threads=2))
    with tempfile.TemporaryDirectory() as folder:
        nearness = Nearness(lambda: find_embedder(options.home, 2)) if options.near else None
        bench = seated(Path(folder), model, options.seed, nearness)
        plain_search = measure(bench, questions, answer_by_bm25, show=False)
        chain = measure(bench, questions, answer_by_chain, show=True)
        verdicts = judge(bench, plant(bench, questions))
    about = {
        **machine("openvino"),
        "model": f"{model.model_class.name} {model.model_class.quantization}",
        "runtime": model.model_class.runtime,
        "seed": options.seed,
    }
    print(" · ".join(f"{name} {value}" for name, value in about.items()))
    print("all devices in one process on one model, nothing read twice: a swarm takes longer")
    show("BM25 alone", plain_search)
    show("the chain", chain)
    for kind, row in verdicts.items():
        print(f"verifier   {kind}: accepted {row['accepted']}/{row['planted']}")
    if options.json:
        figures = {"about": about, "bm25": asdict(plain_search), "chain": asdict(chain)}
        options.json.write_text(json.dumps({**figures, "verifier": verdicts}, indent=1))
    reached = (
        chain.right_source >= 0.8 * chain.answerable
        and chain.key_phrase >= 0.6 * chain.answerable
        and chain.not_found == chain.unanswerable
        and chain.quotations_in_source == chain.quotations
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
