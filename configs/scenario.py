"""A scenario file: a hive of simulated devices, the runs it is given and what happens to it.

Rule guarded here: a `Scenario` that comes out of here can be played; a file gives either a whole
value or one ConfigError with every fault at its `file:line:col`.
"""

import difflib
import re
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from pockethive.configs.loader import in_file_order, read_file
from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree, read_tree
from pockethive.core.errors import ConfigError, Problem

MAX_DEVICES = 5_000
MAX_RUN_TASKS = 200
MAX_TASKS = 50_000
MAX_CHAIN = 40  # the steps of a chain, one after another, have to fit into the run's time
SHAPES = ("flat", "chain", "fan")
FAULTS = ("kill", "part", "loss", "churn", "witnesses")
_KEYS = ("scenario", "description", "seed", "link", "devices", "runs", "faults")
_GROUP_KEYS = (
    *("name", "count", "owners", "work", "check", "sleeps", "every"),
    *("cheats", "colludes", "lazy", "races"),
)
_RUN_KEYS = ("count", "tasks", "shape", "verdicts", "every", "timeout", "lease", "attempts", "soft")
_LINK_KEYS = ("latency", "jitter", "loss")
_DURATION = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)(ms|s|m|h)")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Devices that are alike. Seconds are virtual; shares are from 0 to 1.

    `owners`: how many people share them. `work`, `check`: how long an output and a judgement take.
    `sleeps`, `every`: out of reach for so long of so long; 0: never. `cheats`: the share of its
    outputs that are wrong. `colludes`: cheats alike with the others who do, and accepts what they
    made. `lazy`: accepts what it has not looked at. `races`: asks for verify slots uninvited.
    """

    name: str = "devices"
    count: int
    owners: int = 1
    work: float = 1.0
    check: float = 0.3
    sleeps: float = 0.0
    every: float = 60.0
    cheats: float = 0.0
    colludes: bool = False
    lazy: bool = False
    races: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What is asked of the hive: `count` runs of `tasks` tasks, one begun each `every` seconds."""

    count: int = 1
    tasks: int = 20
    shape: str = "flat"
    verdicts: int = 1
    every: float = 0.0
    timeout: int = 300
    lease: int = 15
    attempts: int = 3
    soft: int = 0  # seconds after its claim at which a task is offered to others; 0: never


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the hive. `at`: seconds since the first run began; `lasts`: 0: to the end.

    `share` (of devices, of datagrams, of devices a minute for `churn`) or `count` says how much.
    """

    kind: str
    at: float = 0.0
    lasts: float = 0.0
    share: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How datagrams travel: latency and mean of its exponential part (seconds), loss (0 to 1)."""

    latency: float = 0.04
    jitter: float = 0.03
    loss: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is simulated. The first devices of the first group, one of each owner, give the runs."""

    name: str
    description: str = ""
    seed: int = 1
    link: Wire = field(default_factory=Wire)
    groups: tuple[Group, ...]
    runs: Runs = field(default_factory=Runs)
    faults: tuple[Fault, ...] = ()

    @property
    def devices(self) -> int:
        """How many devices there are at the start."""
        return sum(group.count for group in self.groups)

    def sized(self, devices: int | None, tasks: int | None) -> "Scenario":
        """The same with so many devices, shared as before, and so many tasks in all.

        Raises ConfigError: not possible.
        """
        groups, runs = self.groups, self.runs
        if devices is not None:
            if not len(groups) + 1 <= devices <= MAX_DEVICES:
                what = f"{devices} devices; {self.name} takes {len(groups) + 1} to {MAX_DEVICES}"
                raise ConfigError([Problem("--devices", what)])
            groups = _shared(groups, devices, self.devices)
        if tasks is not None:
            if not 1 <= tasks <= MAX_TASKS:
                raise ConfigError([Problem("--tasks", f"{tasks} tasks, from 1 to {MAX_TASKS}")])
            most = MAX_CHAIN if runs.shape == "chain" else MAX_RUN_TASKS
            count = max(min(runs.count, tasks), -(-tasks // most))
            runs = replace(runs, count=count, tasks=-(-tasks // count))
        return replace(self, groups=groups, runs=runs)


def _shared(groups: tuple[Group, ...], devices: int, before: int) -> tuple[Group, ...]:
    """The groups with `devices` in all; the first takes what rounding leaves."""
    rest = [max(1, round(group.count * devices / before)) for group in groups[1:]]
    counts = [max(1, devices - sum(rest)), *rest]
    return tuple(
        replace(
            group,
            count=count,
            owners=min(count, max(1, round(group.owners * count / group.count))),
        )
        for group, count in zip(groups, counts, strict=True)
    )


def shipped_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the package."""
    folder = resources.files("pockethive.configs").joinpath("scenarios")
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir()))


def load_scenario(source: str) -> Scenario:
    """The scenario in a file, or a shipped one by its bare name. Raises ConfigError."""
    path = Path(source)
    if source and source == path.stem and not path.exists():
        names = shipped_scenarios()
        if source not in names:
            near = difflib.get_close_matches(source, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"shipped: {', '.join(names)}"
            what = "no file and no shipped scenario of this name"
            raise ConfigError([Problem(source, what, hint)])
        folder = resources.files("pockethive.configs").joinpath("scenarios")
        return read_scenario(folder.joinpath(f"{source}.yaml").read_bytes(), f"{source}.yaml")
    return read_scenario(read_file(path), source)


def read_scenario(data: bytes, name: str) -> Scenario:
    """The scenario in a file's bytes; `name` is what its places are called by."""
    tree = read_tree(data, name)
    reader = ScenarioReader()
    scenario = reader.scenario(tree, Path(name).stem)
    if reader.problems:
        raise ConfigError(in_file_order(reader.problems))
    return scenario


class ScenarioReader(Reader):
    """Reads what scenarios have and teams have not: shares, and parts of seconds."""

    def scenario(self, tree: Tree, name: str) -> Scenario:
        """The scenario, with stand-ins where there were faults."""
        entries = self.mapping(tree, _KEYS, "a scenario")
        devices = self.need(tree, entries, "devices", "a scenario")
        groups = tuple(self._group(item) for item in self.items(devices)) if devices else ()
        total = sum(group.count for group in groups)
        if devices is not None and not 2 <= total <= MAX_DEVICES:
            what = f"{total} devices in all, they must be from 2 to {MAX_DEVICES}"
            self.fault(devices.where, what)
        names = [group.name for group in groups]
        if devices is not None and len(set(names)) != len(names):
            self.fault(devices.where, "two groups have one name", "give each a `name` of its own")
        runs = self._runs(entries.get("runs"))
        faults = entries.get("faults")
        return Scenario(
            name=self.text(entries.get("scenario"), "scenario", name),
            description=self.text(entries.get("description"), "description"),
            seed=self.whole(entries.get("seed"), "seed", (0, 2**53), 1),
            link=self._link(entries.get("link")),
            groups=groups or (Group(count=2),),
            runs=runs,
            faults=tuple(self._fault(one) for one in self.items(faults)) if faults else (),
        )

    def share(self, tree: Tree | None, what: str, default: float = 0.0) -> float:
        """A share such as `20%`, as a number from 0 to 1."""
        if tree is None:
            return default
        match = _SHARE.fullmatch(tree.text) if tree.kind == "text" else None
        if match is None or float(match[1]) > 100:
            found = repr(tree.text) if tree.text else tree.kind
            self.fault(tree.where, f"{what} must be a share, found {found}", "write 20%")
            return default
        return float(match[1]) / 100

    def moment(
        self, tree: Tree | None, what: str, default: float, bounds: tuple[float, float] = (0, _DAY)
    ) -> float:
        """A duration such as `40ms`, `1.5s` or `2m`, in seconds, within `bounds`."""
        if tree is None:
            return default
        match = _DURATION.fullmatch(tree.text) if tree.kind == "text" else None
        if match is None:
            found = repr(tree.text) if tree.text else tree.kind
            cure = "write 40ms, 1.5s or 2m"
            self.fault(tree.where, f"{what} must be a duration, found {found}", cure)
            return default
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not bounds[0] <= seconds <= bounds[1]:
            what = f"{what} is {tree.text}, it must be from {bounds[0]:g}s to {bounds[1]:g}s"
            self.fault(tree.where, what)
            return default
        return seconds

    def _link(self, tree: Tree | None) -> Wire:
        if tree is None:
            return Wire()
        entries = self.mapping(tree, _LINK_KEYS, "link")
        usual = Wire()
        return Wire(
            latency=self.moment(entries.get("latency"), "latency", usual.latency, (0, 10)),
            jitter=self.moment(entries.get("jitter"), "jitter", usual.jitter, (0, 10)),
            loss=self.share(entries.get("loss"), "loss"),
        )

    def _group(self, tree: Tree) -> Group:
        entries = self.mapping(tree, _GROUP_KEYS, "a group of devices")
        counted = self.need(tree, entries, "count", "a group of devices")
        count = self.whole(counted, "count", (1, MAX_DEVICES), 1)
        owners = self.whole(entries.get("owners"), "owners", (1, MAX_DEVICES), 1)
        if owners > count:
            self.fault(entries["owners"].where, f"{owners} owners of {count} devices")
        usual = Group(count=1)
        every = self.moment(entries.get("every"), "every", usual.every, (1, _DAY))
        sleeps = self.moment(entries.get("sleeps"), "sleeps", 0.0)
        if sleeps >= every and "sleeps" in entries:
            what = f"a device that sleeps {sleeps:g}s of {every:g}s is never there"
            self.fault(entries["sleeps"].where, what, "give a longer `every`")
        return Group(
            name=self.text(entries.get("name"), "name", usual.name),
            count=count,
            owners=owners,
            work=self.moment(entries.get("work"), "work", usual.work, (0, 3600)),
            check=self.moment(entries.get("check"), "check", usual.check, (0, 3600)),
            sleeps=sleeps,
            every=every,
            cheats=self.share(entries.get("cheats"), "cheats"),
            colludes=self.yes_no(entries.get("colludes"), "colludes", default=False),
            lazy=self.yes_no(entries.get("lazy"), "lazy", default=False),
            races=self.yes_no(entries.get("races"), "races", default=False),
        )

    def _runs(self, tree: Tree | None) -> Runs:
        usual = Runs()
        if tree is None:
            return usual
        entries = self.mapping(tree, _RUN_KEYS, "runs")
        shape = self.one_of(entries.get("shape"), "shape", SHAPES, usual.shape)
        most = MAX_CHAIN if shape == "chain" else MAX_RUN_TASKS
        runs = Runs(
            count=self.whole(entries.get("count"), "count", (1, 1_000), usual.count),
            tasks=self.whole(entries.get("tasks"), "tasks", (1, most), usual.tasks),
            shape=shape,
            verdicts=self.whole(entries.get("verdicts"), "verdicts", (1, 3), usual.verdicts),
            every=self.moment(entries.get("every"), "every", 0.0, (0, 3600)),
            timeout=self.seconds(entries.get("timeout"), "timeout", (10, 86_400), usual.timeout),
            lease=self.seconds(entries.get("lease"), "lease", (2, 600), usual.lease),
            soft=self.seconds(entries.get("soft"), "soft", (1, 600), usual.soft),
            attempts=self.whole(entries.get("attempts"), "attempts", (1, 20), usual.attempts),
        )
        if runs.count * runs.tasks > MAX_TASKS:
            what = f"{runs.count * runs.tasks} tasks in all, at most {MAX_TASKS}"
            self.fault(tree.where, what)
        return runs

    def _fault(self, tree: Tree) -> Fault:
        entries = self.mapping(tree, ("at", "for", *FAULTS), "a fault")
        kinds = [kind for kind in FAULTS if kind in entries]
        if len(kinds) != 1:
            if tree.kind == "a mapping":
                self.fault(tree.where, f"a fault is one of {', '.join(FAULTS)}")
            return Fault(kind="kill")
        (kind,) = kinds
        amount = entries[kind]
        counted = kind == "witnesses" or (kind == "kill" and amount.kind == "a whole number")
        return Fault(
            kind=kind,
            at=self.moment(entries.get("at"), "at", 0.0),
            lasts=self.moment(entries.get("for"), "for", 0.0),
            share=0.0 if counted else self.share(amount, kind),
            count=self.whole(amount, kind, (1, MAX_DEVICES), 1) if counted else 0,
        )
