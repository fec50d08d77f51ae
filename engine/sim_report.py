"""What came of a scenario: for people, and as JSON.

Rule guarded here: the same play gives the same report; nothing in it is measured in real time.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from pockethive.configs.scenario import Scenario
from pockethive.core.entry import Verdict
from pockethive.core.report import Outcome, TaskReport
from pockethive.sim_watch import ScenarioHive

MESSAGES = ("Send", "AskWitness", "Publish", "ReadTask", "Ping")
WORST_SHOWN = 5


@dataclass(slots=True)
class Tally:
    """What happened to the hive. `met_nobody`: devices that came and found nobody."""

    died: int = 0
    came: int = 0
    met_nobody: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What had been sent by one moment of virtual time, and what machines had wanted done."""

    at: float
    packets: int
    lost: int
    bytes: int
    wanted: Counter[str]

    @classmethod
    def of(cls, hive: ScenarioHive) -> Self:
        """Now."""
        net = hive.world.net
        return cls(
            at=hive.now,
            packets=net.sent,
            lost=net.lost,
            bytes=net.bytes,
            wanted=hive.effects.copy(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeen:
    """One run's end. `seconds` are virtual; `status` is `hung` of a run that never ended."""

    status: str
    seconds: float
    committed: int = 0
    failed: int = 0
    lost: int = 0
    open: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a play. Seconds are virtual, shares from 0 to 1, traffic is per planned task.

    `wrong`: committed outputs whose maker cheated. `twice`: executions beyond the first of a task
    (`executed`: all). `overlaps`: two holders of one task at once; `two_outputs`: tasks with two
    committed outputs; both have to be empty. `shares`: by group, how many committed outputs and
    how many verdicts. `latency`: p50 and p95 from the first offer of a task to its commit.
    """

    scenario: str
    seed: int
    devices: int
    tasks: int
    seconds: float
    runs: tuple[RunSeen, ...]
    wrong: int
    executed: int
    twice: int
    finished_twice: int
    overlaps: tuple[str, ...]
    two_outputs: tuple[str, ...]
    attempts: float
    latency: tuple[float, float]
    latencies: tuple[float, ...] = field(repr=False)
    packets: float
    packets_lost: float
    bytes: float
    messages: dict[str, float]
    shares: dict[str, tuple[int, int]]
    tally: Tally
    trace: str

    @property
    def committed(self) -> int:
        """Tasks with a committed output."""
        return sum(run.committed for run in self.runs)

    @property
    def sound(self) -> bool:
        """Every run ended, no two devices held one task, no task has two outputs."""
        ended = all(run.status != "hung" for run in self.runs)
        return ended and not self.overlaps and not self.two_outputs

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "devices": self.devices,
            "tasks": self.tasks,
            "virtual_seconds": round(self.seconds, 3),
            "sound": self.sound,
            "committed": self.committed,
            "failed": sum(run.failed for run in self.runs),
            "lost": sum(run.lost for run in self.runs),
            "open": sum(run.open for run in self.runs),
            "wrong_committed": self.wrong,
            "executed": self.executed,
            "executed_again": self.twice,
            "executed_again_percent": round(100 * self.twice / max(1, self.tasks), 2),
            "finished_again": self.finished_twice,
            "lease_overlaps": list(self.overlaps),
            "two_outputs": list(self.two_outputs),
            "attempts_mean": round(self.attempts, 3),
            "ready_to_committed_p50": round(self.latency[0], 3),
            "ready_to_committed_p95": round(self.latency[1], 3),
            "packets_a_task": round(self.packets, 1),
            "packets_lost_a_task": round(self.packets_lost, 1),
            "bytes_a_task": round(self.bytes),
            "messages_a_task": {name: round(n, 2) for name, n in self.messages.items()},
            "died": self.tally.died,
            "came": self.tally.came,
            "met_nobody": self.tally.met_nobody,
            "shares": {
                name: {"outputs": made, "verdicts": judged}
                for name, (made, judged) in self.shares.items()
            },
            "runs": [
                {
                    "status": run.status,
                    "seconds": round(run.seconds, 3),
                    "committed": run.committed,
                    "failed": run.failed,
                    "lost": run.lost,
                    "open": run.open,
                    "reason": run.reason,
                }
                for run in self.runs
            ],
            "trace": self.trace,
        }

    def to_text(self) -> str:
        """A dozen lines for people."""
        ends = Counter(run.status for run in self.runs)
        told = self.to_json()
        lines = [
            f"{self.scenario}: {self.devices} devices, {len(self.runs)} runs, {self.tasks} tasks, "
            f"seed {self.seed}; {self.seconds:.1f} virtual seconds",
            f"  runs       {', '.join(f'{count} {status}' for status, count in ends.items())}",
            f"  tasks      {self.committed} committed, {told['failed']} failed, "
            f"{told['lost']} lost, {told['open']} open; {self.attempts:.2f} attempts each",
            f"  wrong      {self.wrong} of {self.committed} committed outputs",
            f"  executed   {self.executed} times, {self.twice} of them again "
            f"({told['executed_again_percent']:g} %), {self.finished_twice} ended again",
            f"  safety     {len(self.overlaps)} lease overlaps, {len(self.two_outputs)} tasks with "
            "two outputs",
            f"  latency    {self.latency[0]:.1f} s p50, {self.latency[1]:.1f} s p95, from offer to "
            "commit",
            f"  traffic    {self.packets:.0f} packets, {self.bytes / 1000:.0f} kB a task; asked: "
            + ", ".join(f"{name} {number:.1f}" for name, number in self.messages.items()),
            f"  devices    {self.tally.died} died, {self.tally.came} came, "
            f"{self.tally.met_nobody} met nobody",
        ]
        lines += [
            f"  work       {name}: {made} outputs, {judged} verdicts"
            for name, (made, judged) in self.shares.items()
        ]
        worst = [run for run in self.runs if run.status != "completed"][:WORST_SHOWN]
        lines += [f"  {run.status:<10} {run.reason[:150]}" for run in worst]
        lines += [f"  OVERLAP    {told}" for told in self.overlaps[:WORST_SHOWN]]
        return "\n".join([*lines, f"  trace      {self.trace}"])


def make_report(
    scenario: Scenario,
    hive: ScenarioHive,
    before: Mark,
    outcomes: Sequence[Outcome | None],
    tally: Tally,
) -> Report:
    """Count what was seen."""
    now = Mark.of(hive)
    runs = scenario.runs
    tasks = runs.count * runs.tasks
    reports = [report for outcome in outcomes if outcome is not None for report in outcome.tasks]
    committed = [report for report in reports if report.status == "committed"]
    wanted = now.wanted - before.wanted
    latencies = sorted(
        at - hive.offered[which] for which, at in hive.committed.items() if which in hive.offered
    )
    return Report(
        scenario=scenario.name,
        seed=hive.seed,
        devices=scenario.devices,
        tasks=tasks,
        seconds=now.at - before.at,
        runs=tuple(_run_seen(outcome, runs.tasks) for outcome in outcomes),
        wrong=sum((report.id, report.output) in hive.made_wrong for report in committed),
        executed=sum(hive.executions.values()),
        twice=sum(count - 1 for count in hive.executions.values()),
        finished_twice=sum(count - 1 for count in hive.finished.values()),
        overlaps=tuple(hive.overlaps),
        two_outputs=tuple(task for task, found in hive.commits.items() if len(found) > 1),
        attempts=sum(report.attempts for report in reports) / max(1, len(reports)),
        latency=(_portile(latencies, 0.5), _portile(latencies, 0.95)),
        latencies=tuple(latencies),
        packets=(now.packets - before.packets) / tasks,
        packets_lost=(now.lost - before.lost) / tasks,
        bytes=(now.bytes - before.bytes) / tasks,
        messages={name: wanted[name] / tasks for name in MESSAGES},
        shares=_shares(scenario, hive, committed),
        tally=tally,
        trace=hive.trace,
    )


def _run_seen(outcome: Outcome | None, tasks: int) -> RunSeen:
    if outcome is None:
        return RunSeen(status="hung", seconds=0.0, open=tasks, reason="it never ended")
    ends = Counter(report.status for report in outcome.tasks)
    return RunSeen(
        status=outcome.status.value,
        seconds=outcome.seconds,
        committed=ends["committed"],
        failed=ends["failed"],
        lost=ends["lost"],
        open=tasks - ends["committed"] - ends["failed"] - ends["lost"],
        reason=outcome.reason,
    )


def _portile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _shares(
    scenario: Scenario, hive: ScenarioHive, committed: Sequence[TaskReport]
) -> dict[str, tuple[int, int]]:
    """Committed outputs and accepting verdicts behind them, by group."""
    made: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for report in committed:
        if report.worker in hive.people:
            made[hive.people[report.worker].group.name] += 1
        for entry in report.receipts:
            if isinstance(entry.body, Verdict) and entry.author in hive.people:
                judged[hive.people[entry.author].group.name] += 1
    return {group.name: (made[group.name], judged[group.name]) for group in scenario.groups}
