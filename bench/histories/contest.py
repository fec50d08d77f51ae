"""One history: contenders lease, work, commit and fail at the same few tasks; the owner replaces
witnesses meanwhile. Acquisitions, witnesses, seals and codecs are the real ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from bench.histories.network import Network, Rules, task_of
from bench.histories.owner import LEASE, SEATS, Owner
from bench.histories.record import Held, History
from bench.histories.world import CHECKER, CONTENDERS, signed
from pockethive.core.acquisition import Acquisition, Phase
from pockethive.core.effects import AskWitness
from pockethive.core.entry import Entry, Output, Verdict
from pockethive.core.events import WitnessAnswered
from pockethive.core.scout_job import HOLD_SECONDS
from pockethive.core.task import DeviceId

__all__ = ["Contest", "Rules"]

SLOT_SECONDS = 0.3  # in which a calm network has brought a question


@dataclass(slots=True)
class _Job:
    """A contender's way to one lease."""

    entry: Entry
    lease: Acquisition
    booted: float
    held: Held | None = None
    over: bool = False
    committing: bool = False


class Contest:
    """`play` is the only way in. Everything follows from `seed` and `rules`."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.history = History()
        self._net = Network(seed, rules, self.history)
        self._owner = Owner(self._net, self.history)

    def play(self) -> History:
        """The whole history, checked."""
        for contender in CONTENDERS:
            self._contend(contender)
        self._net.run()
        self.history.close(SEATS)
        return self.history

    def _contend(self, name: DeviceId) -> None:
        """Try for a lease, of the task as it is or as it was when this device last heard of it."""
        if self._net.weather.down(name, self._net.now):
            self._again(name)
            return
        seat = self._net.dice.choice(self._owner.seats)
        entry = (
            self._net.dice.choice(seat.entries)
            if self._net.dice.random() < 0.2
            else seat.entries[-1]
        )
        lease = Acquisition(entry, name)
        job = _Job(entry, lease, self._net.weather.booted(name, self._net.now))
        self._guard(name, job)
        self._go_on(name, job, lease.begin(self._net.local(name)))

    def _guard(self, name: DeviceId, job: _Job) -> None:
        """A device that restarted begins anew."""
        if job.over:
            return
        if self._net.weather.booted(name, self._net.now) != job.booted:
            self._end(name, job)
        else:
            self._net.at(self._net.now + 1, lambda: self._guard(name, job))

    def _again(self, name: DeviceId) -> None:
        self._net.at(self._net.now + self._net.dice.uniform(0.02, 0.5), lambda: self._contend(name))

    def _end(self, name: DeviceId, job: _Job) -> None:
        if not job.over:
            job.over = True
            if job.held is not None:
                job.held.until = min(job.held.until, self._net.now)
            self._again(name)

    def _go_on(self, name: DeviceId, job: _Job, asks: Iterable[AskWitness]) -> None:
        def hear(event: WitnessAnswered) -> None:
            if job.over:
                return
            if (
                self._net.weather.booted(name, self._net.now) != job.booted
            ):  # it was another process
                return
            before = job.lease.phase
            self._go_on(name, job, job.lease.answered(event, self._net.local(name)))
            self._look_at(name, job, before)

        self._net.ask_all(name, asks, hear)

    def _look_at(self, name: DeviceId, job: _Job, before: Phase) -> None:
        lease, clock = job.lease, self._net.weather.clocks[name]
        if lease.phase is Phase.GIVEN_UP:
            self._end(name, job)
        elif lease.phase is Phase.BACKING_OFF and before is not Phase.BACKING_OFF:
            self._net.timer(name, lease.retry_at, lambda: self._retry(name, job))
        elif lease.phase is Phase.HELD and job.held is None:
            self._hold(name, job)
        elif lease.phase is Phase.HELD and job.held is not None:
            job.held.until = max(job.held.until, clock.true(lease.until))
            if lease.proposed and not job.committing:
                job.committing = True
                self._commit(name, job)

    def _retry(self, name: DeviceId, job: _Job) -> None:
        if not job.over:
            self._go_on(name, job, job.lease.begin(self._net.local(name)))

    def _hold(self, name: DeviceId, job: _Job) -> None:
        lease, clock, task = job.lease, self._net.weather.clocks[name], task_of(job.entry)
        until = clock.true(lease.until)
        job.held = Held(task.id, name, task.committee.generation, lease.epoch, self._net.now, until)
        if until <= self._net.now:  # the answers took too long: it is no lease any more
            self._end(name, job)
            return
        self.history.held(job.held)
        # It always ends by its own clock, whatever else goes wrong.
        self._watch_end(name, job)
        calm = not self._net.weather.stormy(self._net.now)
        if calm or self._net.dice.random() < 0.6:
            self._net.timer(
                name,
                clock.local(self._net.now) + lease.renew_seconds,
                lambda: self._renew(name, job),
            )
        work = self._net.dice.uniform(0.1, 2.0 if calm else 1.2 * LEASE)
        self._net.timer(name, clock.local(self._net.now) + work, lambda: self._worked(name, job))

    def _watch_end(self, name: DeviceId, job: _Job) -> None:
        def look() -> None:
            assert job.held is not None
            if job.over:
                return
            if self._net.now >= job.held.until:
                self._end(name, job)
            else:
                self._watch_end(name, job)

        assert job.held is not None
        self._net.at(job.held.until, look)

    def _renew(self, name: DeviceId, job: _Job) -> None:
        if not job.over:
            asks = job.lease.renew(self._net.local(name))
            self._go_on(name, job, asks)
            if job.lease.phase is Phase.GIVEN_UP:
                self._end(name, job)
            else:
                again = self._net.local(name) + job.lease.renew_seconds
                self._net.timer(name, again, lambda: self._renew(name, job))

    def _worked(self, name: DeviceId, job: _Job) -> None:
        """The work is done: propose it, give the lease back, or die without a word."""
        if job.over or self._net.local(name) >= job.lease.until:
            return
        dice = self._net.dice.random() if self._net.weather.stormy(self._net.now) else 0.0
        if job.lease.accepted is not None:
            task, sha = task_of(job.entry), job.lease.accepted.output
            self._owner.finish(task, job.lease.epoch, sha)
            self._soon_end(name, job)
        elif dice < 0.3:
            self._propose(name, job)
        elif dice < 0.6:
            self._net.ask_all(name, job.lease.free(), lambda event: None)
            self._end(name, job)

    def _propose(self, name: DeviceId, job: _Job) -> None:
        task, epoch = task_of(job.entry), job.lease.epoch
        sha = sha256(f"{task.id} {name} {epoch}".encode()).hexdigest()
        made = Output(task=task.id, epoch=epoch, output=sha, size=1, model="", inputs=())
        output = signed(name, made)
        verdict = Verdict(
            task=task.id,
            epoch=epoch,
            output=sha,
            worker=name,
            accept=True,
            checks=("quotation",),
            reason="",
        )
        self._owner.evidence[task.id, sha] = (output, signed(CHECKER, verdict))
        if sha < "8":  # acks are asked for before the output is held, and again once it is
            asks = self._owner.commit_asks(task, epoch, sha)
            self._net.ask_all(name, asks, lambda event: None)
            due = self._net.local(name) + HOLD_SECONDS
            self._net.timer(name, due, lambda: self._hold_output(name, job, output))
            return
        self._hold_output(name, job, output)

    def _hold_output(self, name: DeviceId, job: _Job, output: Entry) -> None:
        if not job.over:
            asks = job.lease.propose(output, self._net.local(name))
            self._go_on(name, job, asks)

    def _commit(self, name: DeviceId, job: _Job) -> None:
        """The checker takes its slots; then acks are asked for."""
        assert job.lease.output is not None
        asks = self._owner.slot_asks(task_of(job.entry), job.lease.output)
        self._net.ask_all(CHECKER, asks, lambda event: None)
        due = self._net.local(name) + SLOT_SECONDS
        self._net.timer(name, due, lambda: self._ask_acks(name, job))

    def _ask_acks(self, name: DeviceId, job: _Job) -> None:
        """Half of those who do so in a storm die while they ask."""
        assert job.lease.output is not None
        assert isinstance(job.lease.output.body, Output)
        asks = self._owner.commit_asks(
            task_of(job.entry), job.lease.epoch, job.lease.output.body.output
        )
        if self._net.weather.stormy(self._net.now) and self._net.dice.random() < 0.5:
            asks = asks[: self._net.dice.randrange(len(asks))]
        self._net.ask_all(name, asks, lambda event: None)
        self._soon_end(name, job)

    def _soon_end(self, name: DeviceId, job: _Job) -> None:
        """The owner knows how the task ended, and tells it to whoever holds it still."""
        self._net.timer(name, self._net.local(name) + 3, lambda: self._end(name, job))
