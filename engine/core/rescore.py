"""Texts that a model wrote, and when another device of the same model class accepts one.

    {"v": 1, "text", "ids": [token, …], "finish": "stop" | "length", "mean", "model"}

Guards: a text counts for what the same class of model writes of the same task, token by token; of
another class nobody judges it. `mean` is in micronats, since canonical values hold no floats. Pure,
the same at worker, ledger and verifier.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any, Final

from pockethive.core.entry import Entry, Member, Output
from pockethive.core.errors import BadEncoding
from pockethive.core.fields import VERSION, Fields
from pockethive.core.labels import Label
from pockethive.core.ports import Generation, Rescored
from pockethive.core.task import DeviceId, PlannedTask, Policy, Task, Verification

RESCORE: Final = "rescore"
MAX_TEXT: Final = 64 * 1024  # bytes
MAX_IDS: Final = 4_096
MARGIN: Final = 1_000
"""Micronats by which numbers of one class may differ. Measured: reading against writing at most 11
in the mean; another arithmetic 34,000; one token exchanged for another 2,000,000 at its place."""
_MICRO: Final = 1_000_000
_WORST: Final = 10**12  # micronats; no model is so surprised
_FINISHES: Final = ("stop", "length")


def checker_of(skill: str) -> str:
    """The name of the checker that reads again what a skill wrote."""
    return f"{RESCORE}.{skill}"


def read_again(how: Verification) -> tuple[str, ...]:
    """The checkers that read a written text again; none: no check does."""
    begin = checker_of("")
    return tuple(c.checker for c in how.checks if c.checker.startswith(begin))


def seed_of(task: str) -> int:
    """The seed of what is drawn for a task: nobody chooses it."""
    return int.from_bytes(sha256(b"sampling " + task.encode()).digest()[:6])


def by_class(task: Task) -> bool:
    """Whether only devices of the model class that made an output may judge it."""
    return any(check.policy is Policy.RESCORE for check in task.verification.checks)


def comparable(task: Task, made: Entry, model: str) -> bool:
    """Whether a device of model class `model` may judge an output as far as its class matters.

    What no model made anybody may, unless it is a text that some model must have written.
    """
    if not by_class(task) or not isinstance(made.body, Output):
        return True
    wrote = made.body.model
    return bool(model) and (model == wrote or not (wrote or read_again(task.verification)))


def fault_of(task: PlannedTask) -> str:
    """What is wrong with a planned task whose text is to be read again; empty: nothing."""
    named = read_again(task.verification)
    if not named:
        return ""
    if task.label is Label.DEVICE:
        return "is to be read again elsewhere, but its label keeps it on its device"
    if named != (checker_of(task.skill),):
        return f"is to be read again by {', '.join(named)}, but its skill is {task.skill}"
    return "" if task.needs_model else "is to be read again by a model, but its skill asks none"


def lacking(task: Task, made: Entry, members: Iterable[Member], lost: Collection[DeviceId]) -> str:
    """Why nobody may judge an output, where it is for its class; else empty."""
    if not by_class(task) or not isinstance(made.body, Output):
        return ""
    others = [m for m in members if m.device != made.author and m.device not in lost]
    if any(comparable(task, made, member.model) for member in others):
        return ""
    wrote = made.body.model
    if not wrote:
        return "it names no model that wrote it, and `rescore` compares with the same one"
    return f"`rescore` needs another device of model class {wrote[:12]}, which wrote it"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenText:
    """An output that a model wrote. `ids`: all that was drawn, what ended it included.

    `finish`: `stop` or `length`. `mean`: log-probability of a token, in micronats, natural.
    `model`: the class that wrote it, hex.
    """

    text: str
    ids: tuple[int, ...]
    finish: str
    mean: int
    model: str

    @classmethod
    def of(cls, made: Generation, model: str) -> "WrittenText":
        """What a model has just written. Raises BadEncoding: nothing, too much, or no numbers."""
        if not isfinite(made.logprob):
            raise BadEncoding("a text whose log-probability is no number cannot be read again")
        if not 0 < len(made.ids) <= MAX_IDS or len(made.text.encode()) > MAX_TEXT:
            raise BadEncoding(
                f"a text of {len(made.ids)} tokens and {len(made.text.encode())} bytes; at least 1,"
                f" at most {MAX_IDS} and {MAX_TEXT} can be read again"
            )
        mean = micronats(made.logprob, len(made.ids))
        return cls(text=made.text, ids=made.ids, finish=made.finish, mean=mean, model=model)

    def value(self) -> dict[str, Any]:
        """The value of an output."""
        return {
            "v": VERSION,
            "text": self.text,
            "ids": list(self.ids),
            "finish": self.finish,
            "mean": self.mean,
            "model": self.model,
        }

    @classmethod
    def read(cls, value: object) -> "WrittenText":
        """The text behind `value`, from anybody. Raises BadEncoding."""
        fields = Fields(value, "written text")
        version = fields.take("v")
        if type(version) is not int or version != VERSION:  # true equals 1
            raise BadEncoding(f"written text: not of version {VERSION}")
        ids = fields.items("ids", MAX_IDS)
        if not ids or any(type(token) is not int or not 0 <= token < 2**31 for token in ids):
            raise BadEncoding(f"written text: ids are no list of 1 to {MAX_IDS} tokens")
        written = cls(
            text=fields.text("text", MAX_TEXT),
            ids=tuple(ids),
            finish=fields.text("finish"),
            mean=fields.whole("mean", -_WORST, 0),
            model=fields.sha("model"),
        )
        fields.done()
        if written.finish not in _FINISHES:
            raise BadEncoding(f"written text: {written.finish[:20]!r} is no finish")
        return written


def is_written(value: Mapping[str, Any]) -> bool:
    """Whether an output's value looks like a written text: for those who show it."""
    return {"text", "ids", "model"} <= set(value) and isinstance(value["text"], str)


def shown(value: Mapping[str, Any]) -> dict[str, Any]:
    """A written text as an answer; what its length limit cut off ends with an ellipsis."""
    cut = " …" if value.get("finish") == "length" else ""
    return {"answer": value["text"].strip() + cut}


def micronats(logprob: float, tokens: int) -> int:
    """The mean of a summed log-probability, in whole micronats, never above zero."""
    return max(-_WORST, min(0, round(_MICRO * logprob / tokens)))


def judge(written: WrittenText, mine: Rescored) -> str:
    """What is wrong with a text, as this device's model reads it; empty: nothing.

    Not a number passes nothing.
    """
    if mine.finish != written.finish:
        own = {"stop": "ends", "length": "reaches its length limit"}.get(mine.finish, "goes on")
        return f"it says `{written.finish}`, but after its tokens the text {own}"
    if mine.text != written.text:
        return "its tokens spell another text"
    if not (mine.lag * _MICRO <= MARGIN and isfinite(mine.logprob)):
        return f"token {mine.worst + 1} of {len(written.ids)} is not what this model writes there"
    apart = abs(micronats(mine.logprob, len(written.ids)) - written.mean)
    if not apart <= MARGIN:
        return f"its mean log-probability is {apart / _MICRO:.6f} nats off"
    return ""
