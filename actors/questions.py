"""Questions to a person: outputs that wait for the word of the run's owner, as he sees them.

Guards: he is shown what this device has and nothing else, and answers about that very output; one
answer a question; what is shown is bounded. What an answer means is decided by the ledger.
"""

import asyncio
import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Final

from pockethive.actors.workbench import Workbench
from pockethive.core.effects import AskOwner, CloseQuestion
from pockethive.core.entry import Output
from pockethive.core.errors import BadInput, Failure, PocketHiveError
from pockethive.core.events import Event, OwnerAnswered, QuestionShown
from pockethive.core.fields import clip
from pockethive.core.question import MAX_REMARK, question_id
from pockethive.core.task import TaskId

_log = logging.getLogger(__name__)

MAX_SHOWN: Final = 4_000  # bytes of an output, or of what was asked for, that are shown
MAX_CLOSED: Final = 1_000  # that are remembered
LEAST: Final = 4  # digits that name a question
ANSWER_SECONDS: Final = 20.0
_WORDS: Final = {"accepted": "was accepted already", "rejected": "was rejected already"}
NO_SUCH: Final = "no open question is"
_OVER: Final = "is not asked any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenQuestion:
    """One output that waits. `instruction`: the parameters of its task as JSON; `output`: its value
    as JSON, or text; both cut."""

    id: str
    run: str
    task: str
    role: str
    skill: str
    instruction: str
    output: str
    size: int  # bytes of the whole output blob
    worker: str

    def to_json(self) -> dict[str, Any]:
        """As printed by `pockethive questions --json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Asked:
    question: OpenQuestion
    about: tuple[TaskId, int, str]  # task, epoch, output


class Questions:
    """One device's. `open`, `accept` and `reject` may be called from any thread or loop."""

    def __init__(self, workbench: Workbench, post: Callable[[Event, str | None], None]) -> None:
        self._workbench, self._post = workbench, post
        self._lock = threading.Lock()
        self._asked: dict[str, _Asked] = {}
        self._answering: dict[str, Future[str]] = {}
        self._closed: OrderedDict[str, str] = OrderedDict()

    def open(self) -> tuple[OpenQuestion, ...]:
        """What waits for an answer, the oldest first."""
        with self._lock:
            return tuple(asked.question for asked in self._asked.values())

    async def accept(self, question: str) -> OpenQuestion:
        """Take an output as right; it is committed. `question`: its id, or how that begins.

        Raises:
            BadInput: no such question is open. Failure: the answer could not be taken.
        """
        return await self._answer(question, accept=True, reason="")

    async def reject(self, question: str, reason: str) -> OpenQuestion:
        """Have the task done again by somebody who is told the reason. Raises as `accept`."""
        if not reason.strip():
            raise BadInput("an output is rejected for a reason", cure="say what is wrong with it")
        if len(reason.encode()) > MAX_REMARK:
            raise BadInput(f"a reason has at most {MAX_REMARK} bytes", where=reason[:20] + "…")
        return await self._answer(question, accept=False, reason=reason.strip())

    # told by the hands

    async def ask(self, effect: AskOwner) -> None:
        """Fetch an output and show it until it is closed. On the node's loop."""
        made, task = effect.output.body, effect.task
        assert isinstance(made, Output)
        about = (task.id, made.epoch, made.output)
        name = question_id(*about)
        try:
            value = await self._workbench.produced(effect.output, task.label)
        except PocketHiveError as error:
            _log.info("question %s: the output could not be fetched: %s", name, error)
            self._post(_shown(about, shown=False), "ledger")
            return
        question = OpenQuestion(
            id=name,
            run=task.run,
            task=task.name,
            role=task.role,
            skill=task.skill,
            instruction=_text(dict(effect.planned.params)),
            output=_text(value["value"]),
            size=made.size,
            worker=effect.output.author,
        )
        with self._lock:
            self._closed.pop(name, None)
            self._asked[name] = _Asked(question, about)
        self._post(_shown(about, shown=True), "ledger")

    async def close(self, effect: CloseQuestion) -> None:
        """The ledger asks no more. On the node's loop."""
        name = question_id(effect.task, effect.epoch, effect.output)
        with self._lock:
            known = self._asked.pop(name, None)
            answering = self._answering.pop(name, None)
            if known is not None or effect.how in _WORDS:
                self._closed[name] = effect.how
            while len(self._closed) > MAX_CLOSED:
                self._closed.popitem(last=False)
        if answering is not None and not answering.done():
            answering.set_result(effect.how)

    async def _answer(self, name: str, *, accept: bool, reason: str) -> OpenQuestion:
        said: Future[str] = Future()
        with self._lock:
            asked = self._find(name.strip().lower())
            key = asked.question.id
            if key in self._answering:
                raise BadInput(f"question {key} is being answered")
            self._answering[key] = said
        task, epoch, output = asked.about
        self._post(
            OwnerAnswered(task=task, epoch=epoch, output=output, accept=accept, reason=reason),
            "ledger",
        )
        try:
            how = await asyncio.wait_for(asyncio.wrap_future(said), ANSWER_SECONDS)
        except TimeoutError as error:
            raise Failure(f"the answer to question {key} was not taken in time") from error
        finally:
            with self._lock:
                if self._answering.get(key) is said:
                    del self._answering[key]
        if how not in _WORDS:
            raise BadInput(f"question {key} {_OVER}")
        return asked.question

    def _find(self, name: str) -> _Asked:
        """The open question that is called so. Raises BadInput."""
        cure = "see: pockethive questions"
        if len(name) < LEAST:
            raise BadInput(f"{name!r} names no question", cure=f"give {LEAST} digits of its id")
        fitting = [asked for key, asked in self._asked.items() if key.startswith(name)]
        if len(fitting) == 1:
            return fitting[0]
        ended = [how for key, how in self._closed.items() if key.startswith(name)]
        if not fitting and ended:
            raise BadInput(f"question {name} {_WORDS.get(ended[-1], _OVER)}", cure=cure)
        many = "several questions are" if fitting else NO_SUCH
        raise BadInput(f"{many} called {name[:40]}", cure=cure)


def _shown(about: tuple[TaskId, int, str], *, shown: bool) -> QuestionShown:
    task, epoch, output = about
    return QuestionShown(task=task, epoch=epoch, output=output, shown=shown)


def _text(value: object) -> str:
    """What a person reads: text as it is, all else as JSON; cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    short = clip(text, MAX_SHOWN)
    return short if short == text else short + "…"
