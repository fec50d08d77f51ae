"""What the core and the planners ask of the outside, as protocols.

Real ones: `pockethive.inference` (Model), `pockethive.dht` (VerifySignature, blobs).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""`(public key, message, signature) -> valid`. Ed25519; never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClass:
    """What makes two devices' outputs comparable: same weights, same rounding, same kernels."""

    name: str
    quantization: str
    sha256: str  # of the whole bundle, hex
    runtime: str  # its name, version and arithmetic, such as "openvino 2026.4.1 f32"

    @property
    def id(self) -> str:
        """The class as devices advertise it and outputs name it, hex: equal ids, equal numbers."""
        return hashlib.sha256(f"model class {self.sha256} {self.runtime}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw tokens. Temperature 0 is greedy."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A finished text. `finish` is `stop`, `length` or `cancelled`.

    `ids`: every token drawn, the one that ended it included; none where a schema held the pen.
    `logprob`: their summed log-probability, natural.
    """

    text: str
    prompt_tokens: int
    generated_tokens: int
    finish: str
    ids: tuple[int, ...] = ()
    logprob: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """What a model makes of tokens that it did not write, read after their prompt in one go.

    `text`, `finish`: what they spell and why they end; no `finish` where they end too early or go
    on too long. `logprob`: summed, natural. `lag`: how far the worst of them, at place `worst`,
    lies behind the one that would have been drawn: in nats, or in probability where it is drawn.
    """

    text: str
    finish: str
    logprob: float
    lag: float
    worst: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceForm:
    """One way to ask for a choice; prompt forms are data, not code.

    `shots` is a fixed prefix of worked examples. `template` ends where the option begins and holds
    named places such as `{question}`. Calibration asks again with every place filled by `null` and
    subtracts (Zhao et al. 2021, "Calibrate Before Use", arXiv 2102.09690).
    """

    name: str
    shots: str
    template: str
    null: str = "N/A"
    lead: str = " "
    end: str = "\n"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Options by calibrated log-probability (natural logarithm), in the order they were given."""

    scores: tuple[float, ...]
    prompt_tokens: int = 0
    order: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        order = sorted(range(len(self.scores)), key=lambda i: (-self.scores[i], i))
        object.__setattr__(self, "order", tuple(order))

    @property
    def best(self) -> int:
        """Index of the best option; ties go to the first."""
        return self.order[0]

    @property
    def margin(self) -> float:
        """Natural-log distance between the two best options; infinite when there is only one."""
        if len(self.order) < 2:
            return float("inf")
        return self.scores[self.order[0]] - self.scores[self.order[1]]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece copied from a passage: `text == passage[start:end]`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`value`: an option's index, an order of indices, a `Span`, a text, or an object.

    `confidence`, 0 to 1, was fitted; `evidence` is what it was reckoned from. `scores` (nats),
    where there are options: one for each.
    """

    value: Any
    confidence: float
    evidence: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()


class Model(Protocol):
    """A loaded local model. One thread at a time; the model actor sees to that."""

    @property
    def model_class(self) -> ModelClass: ...

    @property
    def context(self) -> int:
        """Tokens the model can read, prompt and answer together."""

    @property
    def plans(self) -> bool:
        """Whether free plans of this model are worth asking for; its card says so."""

    def count(self, text: str) -> int:
        """Tokens in `text`."""

    def generate(self, prompt: str, sampling: Sampling) -> Generation:
        """Continue `prompt`. Raises ContextOverflow."""

    def rescore(self, prompt: str, ids: Sequence[int], sampling: Sampling) -> Rescored:
        """Read `ids` as if `generate` had drawn them. Raises ContextOverflow."""

    def stream(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        """Pieces of text as they are made; closing the iterator stops the model."""

    def chat(self, system: str, user: str) -> str:
        """The prompt that this model's chat template makes of a turn."""

    def score(self, prompt: str, options: Sequence[str]) -> tuple[float, ...]:
        """Summed log-probability (natural) of each option as the continuation of `prompt`."""

    def remember(self, beginning: str) -> int:
        """Read the beginning of prompts to come, once for all; returns the tokens that took."""

    def constrain(self, prompt: str, schema: dict[str, object], sampling: Sampling) -> Generation:
        """JSON text that satisfies a JSON schema. Raises ModelError if `max_tokens` ran out."""

    # Primitives whose accuracy is known (pockethive/inference/primitives.py)

    def choose(self, question: str, options: Sequence[str], text: str = "") -> Answer:
        """The index of the option that answers `question`, about `text` if there is one."""

    def label(self, text: str, labels: Sequence[str]) -> Answer:
        """The index of the label that names what `text` is about."""

    def rank(self, question: str, passages: Sequence[str]) -> Answer:
        """The order of the passages, the one that most likely answers first."""

    def extract(self, passage: str, question: str) -> Answer:
        """A `Span` of `passage` that answers `question`, or None when nothing does."""

    def fill(self, text: str, fields: Mapping[str, str]) -> Answer:
        """An object with a phrase of `text` for each field; fields map names to questions."""

    def compress(self, text: str, budget: int) -> Answer:
        """Whole sentences of `text` in at most `budget` characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """How a loaded model is used, at one moment. `held` and `limit`: bytes of keys and values, of
    what is remembered, too. `read`: tokens that passed through it since it was loaded."""

    under_way: int = 0
    held: int = 0
    limit: int = 0
    read: int = 0


class Embeds(Protocol):
    """A loaded model that turns texts into points. Any thread."""

    @property
    def id(self) -> str:
        """What it is: rows of one id can be compared."""

    @property
    def width(self) -> int:
        """Figures in a row."""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A row of length one for each text; those of like meaning point alike."""


@runtime_checkable
class Shared(Protocol):
    """A loaded model that does many things at once: `begin` any number, `step` until all ended."""

    @property
    def works(self) -> Any:
        """The methods of `Model` that take time; each returns what `begin` takes."""

    @property
    def under_way(self) -> int:
        """Requests begun and not ended."""

    def begin(
        self,
        work: Any,
        done: Callable[[Any, BaseException | None], None],
        *,
        role: str = "",
        until: float = float("inf"),
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin a request. `done` is called once, with its result or its error.

        Roles share the model alike; but who waits only `until` soon (`time.monotonic()`) goes
        first. What is not `wanted` any more ends, and nobody is told.
        """

    def step(self) -> None:
        """Do something for some of them. What it raises nobody foresaw: all were told."""

    def fail(self, error: BaseException) -> None:
        """End all requests with an error."""

    def rest(self) -> None:
        """Nobody has asked for a while: give back what only helps who comes soon."""

    def facts(self) -> ModelFacts:
        """What it holds and has done."""
