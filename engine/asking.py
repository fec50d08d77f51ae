"""A swarm's open questions, for other processes of its home: who lists them, who answers.

    {"v":1,"do":"questions"}                                     ->  [{"id": …, "run": …, …}]
    {"v":1,"do":"answer","question":"9ab0","reason":"too long"}  ->  {"id": …}     rejected; without
                                                                                  reason, accepted
On the control socket of the owner's device (`control.py`), which is its user's alone.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pockethive.actors.questions import LEAST, NO_SUCH, Questions
from pockethive.control import CARD, Card, ControlServer, NotRunning, ask
from pockethive.core.errors import BadInput
from pockethive.core.ruling import by_person
from pockethive.core.spec import Team
from pockethive.known_runs import OWNER

_SEE: Final = "see: pockethive questions"
MAX_LISTED: Final = 200  # the oldest; the others are asked after them


def may_ask(team: Team | None) -> bool:
    """Whether runs of a team may ask their owner. Of a run that was taken over nobody knows yet."""
    if team is None:
        return False
    return not team.roles or any(by_person(role.verification) for role in team.roles)


class Asking:
    """Beside the device that owns the runs. `start` and `stop` on its loop."""

    def __init__(self, questions: Questions, folder: Path) -> None:
        self._questions, self._folder = questions, folder
        self._control = ControlServer({"questions": self._list, "answer": self._answer})

    async def start(self, device: str, contact: str) -> None:
        """Listen, and say where. Raises Failure, StorageError."""
        path = await self._control.start(self._folder)
        card = Card(pid=os.getpid(), device=device, contact=contact, socket=str(path), metrics="")
        await asyncio.to_thread(card.write, self._folder)

    async def stop(self) -> None:
        """Close it, and take the card away."""
        await self._control.stop()
        (self._folder / CARD).unlink(missing_ok=True)

    async def _list(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [question.to_json() for question in self._questions.open()[:MAX_LISTED]]

    async def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, reason = request.get("question"), request.get("reason")
        if not isinstance(name, str) or not (reason is None or isinstance(reason, str)):
            raise BadInput("an answer names a question, and says a reason or none")
        if reason is None:
            return (await self._questions.accept(name)).to_json()
        return (await self._questions.reject(name, reason)).to_json()


def open_questions(home: Path) -> list[dict[str, Any]]:
    """What the runs of a home ask that are going. Blocks. Raises Failure."""
    return [question for _, found in _asked(home) for question in found]


def answer(home: Path, name: str, reason: str | None) -> dict[str, Any]:
    """Accept an output, or reject it for a reason; the question. Blocks.

    Raises:
        BadInput: no such question is open in this home. Failure: the answer could not be taken.
    """
    asked = list(_asked(home))
    called = name.strip().lower()
    fitting = [f for f, found in asked for each in found if each["id"].startswith(called)]
    if len(called) >= LEAST and len(fitting) > 1:
        raise BadInput(f"several questions are called {called}", cure=_SEE)
    told: list[BadInput] = []
    for folder in fitting[:1] or [folder for folder, _ in asked]:
        try:
            said: dict[str, Any] = ask(folder, "answer", question=called, reason=reason)
        except BadInput as error:
            told.append(error)
        else:
            return said
    # what one run knows of it says more than that the others do not
    knowing = [error for error in told if NO_SUCH not in str(error)]
    if knowing or told:
        raise (knowing or told)[0]
    raise BadInput(f"{NO_SUCH} called {called[:40]}", cure="no run of this home asks anything")


def _asked(home: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """The owner's devices of swarms that run, and what each asks."""
    for card in sorted(home.glob(f"swarm-*/{OWNER}/{CARD}")):
        try:
            yield card.parent, ask(card.parent, "questions")
        except NotRunning:
            continue  # it was killed
