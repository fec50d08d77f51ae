"""A stand-in for a local model, for tests of whatever uses one.

`ScriptedModel` has no weights: it counts shared words, so every result can be told by reading.
It keeps the contract of `Model` (spans are copied, options keep their order, a prompt that is too
long raises `ContextOverflow`), which is why it may replace a real model in acceptance tests.
It says nothing about what a real model can do.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from pockethive.core.errors import ContextOverflow, ModelError
from pockethive.core.ports import Answer, Generation, ModelClass, Rescored, Sampling
from pockethive.inference.primitives import Primitives, begun
from pockethive.inference.scoring import Plain, outcome

_WORD = re.compile(r"\w+")
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by can do does for from how in is it its of on or that the this to "
        "was what when where which who why will with you",
    )
)
_CALLS_KEPT = 1000
_NATS = -0.5  # a letter's log-probability
_LAST_LETTER = 0x10FFFF


class ScriptedModel(Primitives):
    """A deterministic test double of `Model`.

    - `score`: minus the number of words in an option that the prompt lacks.
    - the primitives: what answers.py makes of these scores.
    - `generate`, `stream`, `constrain`: the text in `script` under the first key that the prompt
      contains, else `default`; `constrain` falls back to the smallest instance of the schema.
    - `rescore`: a letter is a token and costs half a nat; what is not written so lags by one.

    `calls` keeps the last thousand method names with their first argument.
    """

    def __init__(
        self,
        script: Mapping[str, str] | None = None,
        *,
        default: str = "I do not know.",
        context: int = 8192,
        plans: bool = False,
    ) -> None:
        self._script = dict(script or {})
        self._default = default
        self._context = context
        self.plans = plans
        self.calls: deque[tuple[str, str]] = deque(maxlen=_CALLS_KEPT)

    @property
    def model_class(self) -> ModelClass:
        """A class of its own: no real model's output compares with a double's."""
        return ModelClass(
            name="scripted", quantization="none", sha256="0" * 64, runtime="scripted 1"
        )

    @property
    def context(self) -> int:
        """Words the double reads."""
        return self._context

    def count(self, text: str) -> int:
        """Words in `text`; a word stands for a token."""
        return len(text.split())

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """The scripted text, cut at the first stop string or at `max_tokens` words."""
        self._enter("generate", prompt)
        return self._cut(prompt, self._scripted(prompt) or self._default, sampling)

    def rescore(self, prompt: str, ids: Sequence[int], sampling: Sampling) -> Rescored:
        """Hold `ids` against what the double writes itself."""
        own = self.generate(prompt, sampling)
        pairs = zip(ids, own.ids, strict=False)
        same = next((place for place, (one, other) in enumerate(pairs) if one != other), None)
        whole = same is None and len(ids) == len(own.ids)
        return Rescored(
            text="".join(chr(letter) for letter in ids if letter <= _LAST_LETTER),
            finish=own.finish if len(ids) == len(own.ids) else "",
            logprob=_NATS * len(ids),
            lag=0.0 if whole else 1.0,
            worst=same or 0,
            prompt_tokens=own.prompt_tokens,
        )

    def stream(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        """The text of `generate`, word by word."""
        text = self.generate(prompt, sampling).text
        yield from re.findall(r"\S+\s*|\s+", text)

    def chat(self, system: str, user: str) -> str:
        """A turn in a form that shows what was given."""
        return f"system: {system}\nuser: {user}\nassistant: "

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """Minus the number of words in each option that the prompt lacks."""
        self._enter("score", prompt)
        known = words(prompt)
        return tuple(-float(len(words(option) - known)) for option in options)

    def constrain(self, prompt: str, schema: dict[str, object], sampling: Sampling) -> Generation:
        """The scripted text if there is one, else the smallest instance of `schema`."""
        self._enter("constrain", prompt)
        text = self._scripted(prompt) or orjson.dumps(smallest(schema)).decode()
        made = self._cut(prompt, text, sampling)
        if made.finish == "length":
            raise ModelError(f"the JSON text did not end within {sampling.max_tokens} tokens")
        return replace(made, ids=(), logprob=0.0)

    def remember(self, beginning: str) -> int:
        """Nothing is gained by remembering what costs nothing."""
        self._enter("remember", beginning)
        return 0

    def answer(self, primitive: str, *given: Any) -> Answer:
        """What the primitive makes of `score`."""
        return outcome(begun(primitive, Plain(self), *given))

    def _enter(self, method: str, prompt: str) -> None:
        self.calls.append((method, prompt))
        if (tokens := self.count(prompt)) > self._context:
            raise ContextOverflow(tokens, self._context)

    def _scripted(self, prompt: str) -> str | None:
        return next((text for key, text in self._script.items() if key in prompt), None)

    def _cut(self, prompt: str, text: str, sampling: Sampling) -> Generation:
        ends = [text.find(stop) for stop in sampling.stop if stop in text]
        finish, text = "stop", text[: min(ends)] if ends else text
        pieces = re.findall(r"\s*\S+", text)
        if len(pieces) > sampling.max_tokens:
            finish, text = "length", "".join(pieces[: sampling.max_tokens])
        made = min(len(pieces), sampling.max_tokens)
        return Generation(
            text=text,
            prompt_tokens=self.count(prompt),
            generated_tokens=made,
            finish=finish,
            ids=tuple(map(ord, text)),
            logprob=_NATS * len(text),
        )


def words(text: str) -> frozenset[str]:
    """Lower-case words of `text` that carry meaning, without a plural s."""
    found = (word.lower() for word in _WORD.findall(text))
    return frozenset(w.removesuffix("s") or w for w in found if w not in _SMALL_WORDS)


def smallest(schema: Mapping[str, object]) -> object:
    """The smallest value of a JSON schema that uses const, enum, type and required only."""
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list):
        return schema["enum"][0]  # type: ignore[index]  # a list, by the line above
    kind = schema.get("type", "object")
    if kind == "object":
        named = schema.get("properties", {})
        assert isinstance(named, dict)
        return {name: smallest(named[name]) for name in schema.get("required", named)}  # type: ignore[attr-defined]  # a JSON schema holds a list of names here
    if kind == "array":
        items, least = schema.get("items", {}), schema.get("minItems", 0)
        assert isinstance(items, dict)
        assert isinstance(least, int)
        return [smallest(items)] * least
    plain: dict[object, object] = {"string": "", "boolean": False, "null": None}
    return plain.get(kind, schema.get("minimum", 0))
