"""Sixteen agents ask one model actor for anything at once, and give up now and then: what breaks?

    python -m bench.model_soak [--minutes N] [--agents N] [--seed N] [--home FOLDER]

The real actor with the default model. Each agent asks for texts, streams, scores, choices, spans,
JSON and readings of texts written before; prompts are of mixed lengths, and half share a beginning.
Of ten requests one or two are given up after a while. Now and then all agents pause until the actor
lets its model rest, as it does on a device that nobody has asked for a while (`IDLE` seconds here):
its memory then is what a leak shows in, and that at work is told beside it.

Prints one JSON line. Exits with 1 when the model's process grew (`GROWTH`, medians of the last
quarter's rests against the third's), a request did not end in time, a stream's pieces were not its
text, an honest text was not accepted when read again, or blocks were still held at the end. The
seed draws all requests; how they meet is up to the threads.
"""

import argparse
import json
import random
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pykka import Timeout

from bench.machine import machine, resident
from pockethive.actors.base import Ref
from pockethive.actors.letters import Mailbox
from pockethive.actors.model_actor import (
    Asked,
    Constrain,
    Generate,
    ModelActor,
    Pieces,
    Primitive,
    Request,
    Rescore,
    Score,
    Stream,
)
from pockethive.configs.home import default_home
from pockethive.core.ports import Generation, ModelFacts, Rescored, Sampling
from pockethive.core.rescore import WrittenText, judge
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.session import Session

GROWTH: Final = 1.02
LIMIT: Final = 300.0  # seconds a request may take beside the others, on a busy machine
RESTS: Final = 4  # at least
IDLE: Final = 2.0  # seconds until the model rests; a device's has longer
GIVEN_UP: Final = 0.15  # of the requests
DOCS: Final = Path(__file__).parent.parent / "docs"
_BEGINNING: Final = 1_200  # characters that prompts share
_KINDS: Final = ("generate", "stream", "score", "choose", "extract", "constrain", "rescore")
_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 24},
        "priority": {"enum": ["low", "medium", "high"]},
        "minutes": {"type": "integer", "minimum": 5, "maximum": 240},
    },
    "required": ["title", "priority", "minutes"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class Seen:
    """What came of all requests; agents add to it one at a time."""

    ended: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    broken: list[str] = field(default_factory=list)
    furthest: float = 0.0  # micronats a token, of a text read again
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Written:
    """A text that may be read again."""

    prompt: str
    sampling: Sampling
    made: Generation


class Agent:
    """Asks for one thing after another until told to stop. On a thread of its own."""

    def __init__(self, number: int, seed: int, ref: Ref, seen: Seen, pages: Sequence[str]) -> None:
        self._rng = random.Random(f"{seed} {number}")
        self._ref, self._seen, self._pages = ref, seen, pages
        self._role = ("planner", "worker", "verifier", "scout")[number % 4]
        self._written: list[Written] = []

    def live(self, open_: threading.Event, stop: threading.Event) -> None:
        """Ask while the gate is open; return once `stop` is set."""
        while not stop.is_set():
            if open_.wait(0.2):
                self.ask()

    def ask(self) -> None:
        """One request, to its end or given up."""
        kind = self._rng.choice(_KINDS)
        if kind == "rescore" and not self._written:
            kind = "generate"
        patience = self._rng.uniform(0.0, 6.0) if self._rng.random() < GIVEN_UP else LIMIT
        began = time.monotonic()
        try:
            request, check = getattr(self, f"_{kind}")()
            reply = self._ref.request(Asked(request, self._role))
            try:
                wrong = check(reply.get(timeout=patience))
            finally:
                reply.abandon()
        except Timeout:
            wrong = "" if patience < LIMIT else f"no end within {LIMIT:g} s"
            kind = kind if wrong else f"{kind}, given up"
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes into the report
            wrong = f"{type(error).__name__}: {error}"
        with self._seen.lock:
            counter = self._seen.given_up if "given up" in kind else self._seen.ended
            counter[kind.partition(",")[0]] += 1
            if "given up" not in kind:
                self._seen.seconds[kind].append(round(time.monotonic() - began, 2))
            if wrong:
                self._seen.broken.append(f"{kind}: {wrong}"[:400])

    # requests, each with a check that says what is wrong with its answer

    def _prompt(self) -> str:
        """Half of them begin alike; 5 to 700 tokens."""
        page, words = self._rng.choice(self._pages), self._rng.choice((20, 200, 1_500))
        start = self._rng.randrange(len(page) - words + 1)
        tail = page[start : start + words]
        return page[:_BEGINNING] + tail if self._rng.random() < 0.5 else tail

    def _sampling(self) -> Sampling:
        warm = self._rng.random() < 0.5
        return Sampling(
            max_tokens=self._rng.choice((1, 8, 32, 96)),
            temperature=0.8 if warm else 0.0,
            top_p=0.95 if warm else 1.0,
            seed=self._rng.randrange(1 << 30),
        )

    def _generate(self) -> tuple[Request, Callable[[Any], str]]:
        prompt, sampling = self._prompt(), self._sampling()

        def check(made: Generation) -> str:
            self._written = [*self._written[-3:], Written(prompt, sampling, made)]
            return "" if made.generated_tokens <= sampling.max_tokens else "too long"

        return Generate(prompt, sampling), check

    def _stream(self) -> tuple[Request, Callable[[Any], str]]:
        pieces = Pieces()

        def check(made: Generation) -> str:
            pieces.end()
            read = []
            while (piece := pieces.take(0.0)) is not None:
                read.append(piece)
            return "" if "".join(read) == made.text else f"{read} is not {made.text!r}"

        return Stream(self._prompt(), self._sampling(), pieces), check

    def _score(self) -> tuple[Request, Callable[[Any], str]]:
        options = tuple(f" {self._words(self._rng.randint(1, 9))}" for _ in range(4))

        def check(made: Sequence[float]) -> str:
            sound = len(made) == len(options) and all(-1e4 < each < 0 for each in made)
            return "" if sound else f"scores {made}"

        return Score(self._prompt(), options), check

    def _choose(self) -> tuple[Request, Callable[[Any], str]]:
        options = tuple(self._words(self._rng.randint(1, 6)) for _ in range(4))
        question, text = f"What about {self._words(3)}?", self._passage()
        asked = Primitive("choose", (question, options, text))
        return asked, lambda made: "" if made.value in range(4) else f"chose {made.value!r}"

    def _extract(self) -> tuple[Request, Callable[[Any], str]]:
        passage, question = self._passage(), f"What is {self._words(2)}?"

        def check(made: Any) -> str:
            span = made.value
            sound = span is None or passage[span.start : span.end] == span.text
            return "" if sound else f"{span} is not in the passage"

        return Primitive("extract", (passage, question)), check

    def _constrain(self) -> tuple[Request, Callable[[Any], str]]:
        def check(made: Generation) -> str:
            keys = set(json.loads(made.text))
            return "" if keys == {"title", "priority", "minutes"} else made.text

        return Constrain(self._prompt(), _SCHEMA, Sampling(max_tokens=128)), check

    def _rescore(self) -> tuple[Request, Callable[[Any], str]]:
        wrote = self._rng.choice(self._written)

        def check(made: Rescored) -> str:
            far = 1e6 * abs(made.logprob - wrote.made.logprob) / len(wrote.made.ids)
            with self._seen.lock:
                self._seen.furthest = max(self._seen.furthest, far)
            return judge(WrittenText.of(wrote.made, model=""), made)

        return Rescore(wrote.prompt, wrote.made.ids, wrote.sampling), check

    def _words(self, count: int) -> str:
        words = self._rng.choice(self._pages).split()
        start = self._rng.randrange(len(words) - count)
        return " ".join(words[start : start + count])

    def _passage(self) -> str:
        page = self._rng.choice(self._pages)
        start = self._rng.randrange(len(page) - 900)
        return page[start : start + 900]


@dataclass(slots=True)
class Samples:
    """Raw samples: MB at rest, and (MB, requests under way, blocks used) at work."""

    rest: list[float] = field(default_factory=list)
    work: list[tuple[float, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gate:
    """Agents ask while it is open; `rested` is set whenever the model holds nothing any more."""

    open: threading.Event = field(default_factory=threading.Event)
    rested: threading.Event = field(default_factory=threading.Event)

    def told(self, facts: ModelFacts | None) -> None:
        """Hear from the actor how the model is used. On the actor's thread."""
        if facts is not None and not facts.held:
            self.rested.set()


def watch(session: Session, seconds: float, every: float, gate: Gate) -> Samples:
    """Let the agents ask for `seconds`, with a rest every so many seconds."""
    samples, until = Samples(), time.monotonic() + seconds
    while time.monotonic() < until or len(samples.rest) < RESTS:
        gate.open.set()
        pause = time.monotonic() + every
        while time.monotonic() < pause:
            time.sleep(every / 4)
            work = round(resident(), 1), session.under_way, session.blocks.used
            samples.work.append(work)
        gate.open.clear()
        if not at_rest(session, gate):
            break  # a request is stuck, and its agent will say so
        samples.rest.append(round(resident(), 1))
    return samples


def at_rest(session: Session, gate: Gate) -> bool:
    """Whether the model ends what is asked of it within a request's time limit, and then rests."""
    until, quiet = time.monotonic() + LIMIT, 0
    while quiet < 5:  # who was between gate and mailbox has come by then
        if time.monotonic() > until:
            return False
        quiet = 0 if session.under_way else quiet + 1
        time.sleep(0.1)
    gate.rested.clear()
    return gate.rested.wait(10 * IDLE)


def growth(samples: Sequence[float]) -> float:
    """The last quarter against the one before, medians; 0 where there are too few to tell."""
    if len(samples) < RESTS:
        return 0.0
    quarter = max(1, len(samples) // 4)
    third, last = samples[-2 * quarter : -quarter], samples[-quarter:]
    return round(statistics.median(last) / statistics.median(third), 4)


def soak(session: Session, options: argparse.Namespace) -> dict[str, Any]:
    """All of it; the report, with `wrong`: what did not hold."""
    gate, seen = Gate(), Seen()
    actor = ModelActor(lambda: session, tell=gate.told)
    actor.idle_seconds = IDLE
    ref = actor.launch(Mailbox("device/model"))
    pages = [page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))]
    pages = [page for page in pages if len(page) > 2 * _BEGINNING]
    agents = [Agent(n, options.seed, ref, seen, pages) for n in range(options.agents)]
    stop = threading.Event()
    threads = [threading.Thread(target=a.live, args=(gate.open, stop), daemon=True) for a in agents]
    for thread in threads:
        thread.start()
    samples = watch(session, options.minutes * 60, options.every, gate)
    stop.set()
    for thread in threads:
        thread.join(LIMIT)
    assert isinstance(actor.actor_inbox, Mailbox)
    actor.actor_inbox.close()
    ended = actor.join(LIMIT)
    remembered, promised = session.blocks.used, session.blocks.promised
    session.blocks.forget()
    wrong = [*seen.broken[:20]]
    grown = growth(samples.rest)
    wrong += [f"grew to {grown} of its size"] * (not 0 < grown <= GROWTH)
    wrong += [f"{promised} blocks promised, {session.blocks.used} held at the end"] * bool(
        promised or session.blocks.used
    )
    wrong += ["a request or the actor did not end"] * (session.under_way > 0 or not ended)
    return {
        "ended": dict(seen.ended),
        "given_up": dict(seen.given_up),
        "seconds": {
            kind: {"median": statistics.median(each), "most": max(each)}
            for kind, each in sorted(seen.seconds.items())
        },
        "read_again_micronats_a_token_at_most": round(seen.furthest, 1),
        "growth_at_rest": growth(samples.rest),
        "growth_at_work": growth([work[0] for work in samples.work]),
        "blocks": session.blocks.count,
        "block_bytes": session.block_bytes,
        "remembered_at_the_end": remembered,
        "held_at_the_end": session.blocks.used,
        "rest_mb": samples.rest,
        "work_mb_requests_blocks": samples.work,
        "wrong": wrong,
    }


def main() -> int:
    """Soak and print; 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="bench.model_soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between rests")
    parser.add_argument("--home", type=Path, default=default_home())
    options = parser.parse_args()
    session = open_model(DEFAULT_MODEL, options.home)
    assert isinstance(session, Session)
    began = time.process_time()
    report = soak(session, options)
    cpu = round(time.process_time() - began)
    asked = {"minutes": options.minutes, "agents": options.agents, "seed": options.seed}
    print(json.dumps({**machine("openvino"), **asked, "cpu_seconds": cpu, **report}))
    return int(bool(report["wrong"]))


if __name__ == "__main__":
    raise SystemExit(main())
