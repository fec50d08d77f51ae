"""JSON of forty drawn schemas, a thousand texts, each checked: python -m bench.grammar [--texts N].

Texts are drawn at temperature 0.8, many at once, and read by a checker of our own, not by the
grammar that made them. Prints how many are valid and how large a share of the processor's time the
grammar took (a ratio: the machine may be busy). Exits 1 when a text is not valid. A seed draws all.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.machine import machine
from pockethive.configs.home import default_home
from pockethive.core.ports import Sampling
from pockethive.inference import DEFAULT_MODEL, open_model
from pockethive.inference.guide import Guide, json_grammar
from pockethive.inference.requests import Writing, write
from pockethive.inference.sampling import drawer
from pockethive.inference.session import Session
from pockethive.inference.slices import Floats
from pockethive.inference.tokens import Spelling

SCHEMAS: Final = 40
_AT_ONCE = 24
_MOST_TOKENS = 400
_NAMES: Final = (
    "title",
    "owner",
    "count",
    "kind",
    "tags",
    "done",
    "place",
    "hours",
    "parts",
    "note",
)
_WORDS: Final = ("low", "medium", "high", "red", "blue", "café", 'a "b"', "new\nline", "x\\y", "1")
_GOALS: Final = ("clean the garage", "plan a birthday", "sell the boat", "learn to swim")

Schema = dict[str, Any]


@dataclass(slots=True)
class Timed:
    """A guide that counts the seconds of processor time it took."""

    guide: Guide
    seconds: float = 0.0

    def mask(self, logits: Floats) -> Floats:
        """See `Guide`."""
        began = time.thread_time()
        masked = self.guide.mask(logits)
        self.seconds += time.thread_time() - began
        return masked

    def take(self, token: int) -> Sequence[int]:
        """See `Guide`."""
        began = time.thread_time()
        forced = self.guide.take(token)
        self.seconds += time.thread_time() - began
        return forced

    @property
    def complete(self) -> bool:
        """See `Guide`."""
        return self.guide.complete


@dataclass(slots=True)
class Tally:
    """What came of the texts."""

    valid: int = 0
    wrong: list[str] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0
    grammar_seconds: float = 0.0


def drawn(rng: random.Random, depth: int = 0) -> Schema:
    """A schema: an object at the top, anything bounded below."""
    if depth == 0:
        return _object(rng, depth)
    makers: list[Callable[[], Schema]] = [
        lambda: {"type": "string", "minLength": rng.randint(0, 2), "maxLength": rng.randint(4, 24)},
        lambda: {"enum": rng.sample(_WORDS, rng.randint(1, 4))},
        lambda: {"type": "integer", "minimum": (low := rng.randint(-9, 90)), "maximum": low + 50},
        lambda: {"type": "boolean"},
        lambda: {"const": rng.choice(_WORDS)},
        lambda: {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 9}]},
    ]
    if depth < 3:
        makers += [lambda: _array(rng, depth), lambda: _object(rng, depth)]
    return rng.choice(makers)()


def _array(rng: random.Random, depth: int) -> Schema:
    least = rng.randint(0, 2)
    items = drawn(rng, depth + 1)
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + 2}


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(_NAMES, rng.randint(1, 4))
    return {
        "type": "object",
        "properties": {name: drawn(rng, depth + 1) for name in names},
        "required": names[: rng.randint(1, len(names))],
        "additionalProperties": False,
    }


def fault(value: object, schema: Mapping[str, Any]) -> str:
    """What is wrong with a value, or nothing; knows the keywords that `drawn` uses."""
    if "anyOf" in schema:
        faults = [fault(value, each) for each in schema["anyOf"]]
        return "" if "" in faults else faults[0]
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None:
        return "" if isinstance(value, str) and value in allowed else f"{value!r} is not allowed"
    match schema["type"], value:
        case ("null", None) | ("boolean", bool()):
            return ""
        case "integer", int() if type(value) is int:
            return (
                "" if schema["minimum"] <= value <= schema["maximum"] else f"{value} lies outside"
            )
        case "string", str():
            fits = schema["minLength"] <= len(value) <= schema["maxLength"]
            return "" if fits else f"{value!r} has {len(value)} characters"
        case "array", list():
            fits = schema["minItems"] <= len(value) <= schema["maxItems"]
            inside = next(filter(None, (fault(each, schema["items"]) for each in value)), "")
            return inside if fits else f"{len(value)} items"
        case "object", dict():
            return _object_fault(value, schema)
    return f"{value!r} is no {schema['type']}"


def _object_fault(value: Mapping[str, object], schema: Mapping[str, Any]) -> str:
    known = schema["properties"]
    if odd := set(value) - set(known) | set(schema["required"]) - set(value):
        return f"{', '.join(sorted(odd))}: missing or unknown"
    return next(filter(None, (fault(each, known[name]) for name, each in value.items())), "")


def written(model: Session, schemas: Sequence[Schema], texts: int, seed: int) -> Tally:
    """Write `texts` texts, the schemas in turn, `_AT_ONCE` at a time, and check each."""
    tally, left = Tally(), list(range(texts))
    began = time.process_time()
    while left or model.under_way:
        while left and model.under_way < _AT_ONCE:
            _begin(model, schemas[left[0] % len(schemas)], f"{seed} {left.pop(0)}", tally)
        model.step()
    tally.seconds = time.process_time() - began
    return tally


def _begin(model: Session, schema: Schema, seed: str, tally: Tally) -> None:
    rng = random.Random(seed)
    prompt = model.chat("", f"Make one task as JSON for: {rng.choice(_GOALS)}")
    guide = Timed(Guide(model.tokens, json_grammar(schema)))
    spelling, pieces = Spelling(model.tokens), list[str]()
    sampling = Sampling(temperature=0.8, top_p=0.95, seed=rng.randrange(1 << 30))

    def show(token: int) -> bool:
        pieces.append(spelling.add(token))
        return False

    def done(made: Any, error: BaseException | None) -> None:
        if error is not None:
            raise error
        tally.tokens += made.tokens
        tally.grammar_seconds += guide.seconds
        text = "".join(pieces)
        try:
            wrong = fault(json.loads(text), schema) if made.finish == "stop" else "did not end"
        except ValueError as broken:
            wrong = str(broken)
        tally.valid += not wrong
        if wrong:
            tally.wrong.append(f"{wrong}: {text[:200]} ({json.dumps(schema)})")

    how = Writing(
        draw=drawer(sampling),
        stop_ids=model.tokens.stop_ids,
        most=_MOST_TOKENS,
        show=show,
        guide=guide,
    )
    model.begin(write(model.tokens.encode(prompt), how), done)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.grammar", description=__doc__)
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model = open_model(DEFAULT_MODEL, options.home)
    assert isinstance(model, Session)
    rng = random.Random(options.seed)
    schemas = [drawn(rng) for _ in range(SCHEMAS)]
    tally = written(model, schemas, options.texts, options.seed)
    print(json.dumps(machine("openvino", "llguidance")))
    print("\n".join(tally.wrong))
    share = tally.grammar_seconds / tally.seconds
    print(
        f"{tally.valid} of {options.texts} texts of {SCHEMAS} schemas are valid (seed "
        f"{options.seed}); {tally.tokens} tokens, {1000 * tally.grammar_seconds / tally.tokens:.2f}"
        f" ms of the grammar each, {share:.1%} of the processor time ({_AT_ONCE} at once)"
    )
    return int(tally.valid < options.texts)


if __name__ == "__main__":
    raise SystemExit(main())
