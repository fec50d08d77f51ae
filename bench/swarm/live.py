"""Jobs of micro-steps through ordinary teams: devices of a `Swarm`, each a process with a model.

Nothing here decides or counts: the team's `cast_votes` and `count_votes` do. What comes back is the
answer, and what the last count says was spent.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pockethive.swarm import Swarm
from pockethive.trials.families import family
from pockethive.trials.family import Family, Job
from pockethive.trials.progress import begun, gone_on, read, undecided

_TEAM: Final = """\
team: votes
model: {{name: {model}, quantization: {quantization}}}
roles:
  voter: {{skill: cast_votes, verify: {{check: ballots}}}}
  counter: {{skill: count_votes, verify: {{check: counted}}}}
planner:
  rounds: {rounds}
  steps:
    cast:
      role: voter
      each: devices
      after: before
      params:
        {{job: "{{goal}}", at_once: {at_once}, draws: {draws}, salt: "{salt} {{goal}} {{round}}"}}
    count:
      role: counter
      after: {{steps: [cast, before]}}
      params: {{job: "{{goal}}", at_once: {at_once}, ahead: {ahead}}}
limits: {{timeout: 2h, lease: 30s, max_tasks: 10000}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How jobs are voted on. `draws`: votes that each device has for a step; `ahead`: k."""

    devices: int
    rounds: int
    at_once: int
    draws: int
    ahead: int
    salt: str = ""
    model: str = "smollm2-135m-instruct"
    quantization: str = "int8"


@dataclass(frozen=True, slots=True)
class Played:
    """One job. `right`: the answer is the truth; `spent`: what `count_votes` says."""

    job: str
    right: bool
    status: str
    done: bool
    answer: str
    truth: str
    spent: dict[str, int]
    seconds: float
    tasks: int


def rounds_for(kind: Family, jobs: Sequence[Job], at_once: int) -> int:
    """Rounds that are enough for any of these jobs, with some to spare for wrong choices."""
    return 2 + max(_rounds(kind, job, at_once) for job in jobs) * 11 // 10


def _rounds(kind: Family, job: Job, at_once: int) -> int:
    progress, rounds = begun(kind, job), 0
    while steps := undecided(kind, job, progress, at_once):
        right = {step.id: kind.right(job, step) for step in steps}
        progress, rounds = gone_on(kind, job, progress, right), rounds + 1
    return rounds


class Table:
    """A swarm at such a team; jobs one after another."""

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm

    def play(self, name: str, seed: int, length: int) -> Played:
        """Put one job to it, and hold the answer against the truth."""
        told = f"{name}, seed {seed}, length {length}"
        kind = family(name)
        job = kind.job(seed, length)
        result = self._swarm.run_sync(told)
        last: dict[str, Any] = json.loads(result.outputs[0])["value"] if result.outputs else {}
        progress = read(last["progress"]) if last else None
        done = progress is not None and not undecided(kind, job, progress, 1)
        return Played(
            job=told,
            right=done and result.answer == kind.truth(job),
            status=f"{result.status} {result.reason}".strip(),
            done=done,
            answer=result.answer,
            truth=kind.truth(job),
            spent=dict(last.get("spent", {})),
            seconds=round(result.seconds, 3),
            tasks=len(result.tasks),
        )


@contextmanager
def seated(setting: Setting, folder: Path, home: Path) -> Iterator[Table]:
    """Start devices, each with a document so that it is asked; team and documents in `folder`."""
    told = {name: getattr(setting, name) for name in Setting.__dataclass_fields__}
    team = folder / "votes.yaml"
    team.write_text(_TEAM.format(**told), encoding="utf-8")
    documents = []
    for number in range(setting.devices):
        place = folder / f"device-{number + 1}"
        place.mkdir(exist_ok=True)
        (place / "here.txt").write_text(f"Device {number + 1} votes.\n", encoding="utf-8")
        documents.append(place)
    with Swarm.from_yaml(team, documents=documents, devices=setting.devices, home=home) as swarm:
        yield Table(swarm)
