"""Every error PocketHive raises on purpose, in one tree.

    PocketHiveError
    ├── BadInput                 exit 2: what the caller gave cannot be used
    │   ├── ConfigError          a YAML file or a setting, at file:line:col
    │   ├── GraphError           steps that form no task graph
    │   ├── DocumentError        documents that are missing, unreadable or not text
    │   ├── UnknownModel         a model nobody here can name
    │   └── BadInvitation        an address, key or link that does not parse
    ├── Failure                  exit 1: the input was fine, the work was not possible
    │   ├── ModelError           a model that cannot be loaded, made or run
    │   │   ├── ContextOverflow  a prompt longer than the model can read
    │   │   └── RefusedModel     exit 2: one that is not even tried: licence, kind, size, damage
    │   ├── NetworkError         peers, ports and sockets
    │   │   └── WrongClock       two devices that disagree about the time
    │   ├── StorageError         the home folder, SQLite, blobs
    │   ├── SkillFailure         a skill that ended without an output
    │   └── ActorFailure         an agent that could not start or did not answer
    ├── ProtocolError            a peer broke the protocol; never the user's fault
    │   ├── BadEncoding          bytes that are not canonical, or over their bound
    │   ├── BadSignature         a signature that does not verify
    │   └── IllegalMove          a transition missing from a lifecycle table
    └── TimeLimit                exit 3: the caller's time limit passed

A message says what happened, then where, then what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class PocketHiveError(Exception):
    """Base of all deliberate errors. `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        super().__init__(what, where, cure)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.cure})" if self.cure else text


class BadInput(PocketHiveError):
    """What the caller gave cannot be used; nothing was started."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in a configuration file. `where` is `file:line:col`."""

    where: str
    what: str
    cure: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text} ({self.cure})" if self.cure else text


class ConfigError(BadInput):
    """A configuration with faults; all of them are reported at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class GraphError(BadInput):
    """Steps that form no task graph: a cycle, an unknown name, a duplicate."""


class DocumentError(BadInput):
    """Documents that are missing, unreadable or not text."""


class UnknownModel(BadInput):
    """A model nobody here can name."""


class BadInvitation(BadInput):
    """An address, key or link that does not parse or does not fit."""


class Failure(PocketHiveError):
    """The input was fine, the work was not possible."""


class ModelError(Failure):
    """A model that cannot be loaded, made or run."""


class ContextOverflow(ModelError):
    """A prompt longer than the model can read. Never truncated in silence."""

    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(
            f"the prompt has {tokens} tokens and the model reads {limit}",
            cure="shorten the input or choose a model with a longer context",
        )


class RefusedModel(ModelError):
    """A model that is refused before anything is loaded, made or fetched: the caller named it."""

    exit_code = 2


class NetworkError(Failure):
    """Peers, ports and sockets."""


class WrongClock(NetworkError):
    """Two devices that disagree about the time: neither hears the other."""


class StorageError(Failure):
    """The home folder, SQLite, blobs."""


class SkillFailure(Failure):
    """A skill that ended without an output."""


class ActorFailure(Failure):
    """An agent that could not start or did not answer in time."""


class ProtocolError(PocketHiveError):
    """A peer broke the protocol; never the user's fault."""


class BadEncoding(ProtocolError):
    """Bytes that are not canonical, of an unknown version, or over their bound."""


class BadSignature(ProtocolError):
    """A signature that does not verify."""


class IllegalMove(ProtocolError):
    """A transition missing from a lifecycle table.

    `story` is what happened to the task before, oldest first.
    """

    def __init__(self, task: str, status: str, event: str, story: Sequence[str] = ()) -> None:
        self.task, self.status, self.event, self.story = task, status, event, tuple(story)
        told = "; ".join(self.story) or "nothing happened before"
        super().__init__(f"task {task} is {status} and cannot take {event}: {told}")


class TimeLimit(PocketHiveError):
    """The caller's time limit passed."""

    exit_code = 3
