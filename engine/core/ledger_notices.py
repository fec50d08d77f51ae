"""The ledger's notices on the hive's bulletin: what nobody known takes, and who asks for it.

Guards: bounded at both ends, so many notices a shard and so many answers a second, whoever asks and
however often; a notice is taken back when its task is taken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pockethive.core.effects import Effect, Meet, PostNotice, RemoveNotice, Send
from pockethive.core.entry import Member, Notice
from pockethive.core.ledger_state import FIRST_WAVE, RunState, TaskState
from pockethive.core.ledger_work import WorkDesk
from pockethive.core.lifecycle import Status
from pockethive.core.message import AskOffer
from pockethive.core.notice import LIFE_SECONDS, MAX_OWN, notice_key, notice_of, shard_of
from pockethive.core.people import workers
from pockethive.core.task import DeviceId

POST_SECONDS = 0.25  # between two new notices: where all are busy, tasks are many and taken soon
WINDOW_SECONDS = 1.0
MAX_ANSWERS = 32  # offers asked for that are answered in one window
MAX_EACH = 4  # of them to one device

Effects = Iterator[Effect]


@dataclass(slots=True, kw_only=True)
class _Posted:
    run: RunState
    state: TaskState
    notice: Notice
    expires: int
    again_at: float


class NoticeDesk:
    """Notices of all runs, at most `MAX_OWN` in each of the 16 shards."""

    def __init__(self, work: WorkDesk) -> None:
        self._work = work
        self._posted: dict[str, _Posted] = {}
        self._shards: dict[int, int] = {}
        self._next_at = 0.0  # no new notice before
        self._window = 0.0
        self._answered: dict[DeviceId, int] = {}  # in this window

    def tend(
        self, run: RunState, state: TaskState, members: Sequence[Member], wall: float, now: float
    ) -> Effects:
        """Post what is due, take back what is taken. `wall`: unix time minus lease clock."""
        key = notice_key(state.id)
        posted = self._posted.get(key)
        if not _open(state):
            if posted is not None:
                yield self._taken_back(key)
            return
        if posted is None:
            if self._wanted(state, members) and self._has_room(key, now):
                self._next_at = now + POST_SECONDS
                yield self._post(run, state, key, wall + now, now)
        elif now >= posted.again_at:
            self._count(key, -1)
            yield self._post(run, state, key, wall + now, now)

    def begin_anew(self, now: float) -> None:
        """What was posted, or was to be, is posted again in the next round."""
        for posted in self._posted.values():
            posted.again_at = now
        self._next_at = self._window = 0.0

    def sweep(self) -> Effects:
        """Take back what was taken without a round for its task."""
        for key, posted in list(self._posted.items()):
            if not _open(posted.state):
                yield self._taken_back(key)

    def asked(self, sender: DeviceId, ask: AskOffer, now: float) -> Effects:
        """Offer a task to a device that read its notice, if it is still to be had and fits."""
        posted, member = self._posted.get(ask.key), ask.entry.body
        if posted is None or not isinstance(member, Member) or member.device != sender:
            return
        if ask.entry.author != sender or not self._may_answer(sender, now):
            return
        run, state = posted.run, posted.state
        if not _open(state) or not workers(state.task, (member,), self._work.lost):
            return
        yield Meet(entry=ask.entry)
        yield Send(to=sender, message=self._work.offer_to(run, state, sender))
        state.tell(now, f"device {sender[:8]} asked for it")

    def _wanted(self, state: TaskState, members: Sequence[Member]) -> bool:
        """Whether nobody known can do it, or it was offered in vain."""
        if not self._work.announces(state.task, members):
            return False
        return state.nobody_since is not None or state.wave > 2 * FIRST_WAVE

    def _has_room(self, key: str, now: float) -> bool:
        return now >= self._next_at and self._shards.get(shard_of(key), 0) < MAX_OWN

    def _post(self, run: RunState, state: TaskState, key: str, unix: float, now: float) -> Effect:
        notice, expires = notice_of(state.task), int(unix) + LIFE_SECONDS
        self._posted[key] = _Posted(
            run=run, state=state, notice=notice, expires=expires, again_at=now + LIFE_SECONDS / 2
        )
        self._count(key, 1)
        return PostNotice(notice=notice, expires=expires)

    def _taken_back(self, key: str) -> Effect:
        posted = self._posted.pop(key)
        self._count(key, -1)
        return RemoveNotice(notice=posted.notice, expires=posted.expires)

    def _count(self, key: str, by: int) -> None:
        shard = shard_of(key)
        self._shards[shard] = self._shards.get(shard, 0) + by

    def _may_answer(self, sender: DeviceId, now: float) -> bool:
        """So many answers in a window, and so many of them to one device."""
        if now >= self._window + WINDOW_SECONDS:
            self._window, self._answered = now, {}
        mine = self._answered.get(sender, 0)
        if mine >= MAX_EACH or sum(self._answered.values()) >= MAX_ANSWERS:
            return False
        self._answered[sender] = mine + 1
        return True


def _open(state: TaskState) -> bool:
    return state.status is Status.READY and state.entry is not None and state.sealing is None
